"""``chat`` on a terminal of its own: keys, Markdown, Ctrl-C."""

import os
import pty
import select
import subprocess
import sys
import time
from pathlib import Path

import pytest

CHILD = """
import fcntl, sys, termios, time
from types import SimpleNamespace
from pathlib import Path
fcntl.ioctl(0, termios.TIOCSCTTY, 0)
from nanochat_np import cli
from nanochat_np.commands import chat, writing
from tests.commands.writer import Assistant

def say(prompt):
    return list(b"tick " * 500 if "long" in prompt.rsplit("<|user_start|>")[-1] else b"**short**")

assistant = Assistant(say, sequence_len=8000, watch=lambda written: time.sleep(0.002))
meta = SimpleNamespace(stage="sft", step=7, converses=True)
chat.opened = lambda config, slots: writing.Opened(assistant, meta, Path("there"))
sys.exit(cli.main(["chat", "--quiet", "--max-tokens=4000"]))
"""
CTRL_C, CTRL_D, UP = b"\x03", b"\x04", b"\x1b[A"


class Terminal:
    """A program on the other side of a terminal."""

    def __init__(self):
        self.ours, theirs = pty.openpty()
        environment = os.environ | {"TERM": "xterm", "PYTHONPATH": str(Path(__file__).parents[2])}
        self.process = subprocess.Popen(
            [sys.executable, "-c", CHILD],
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            start_new_session=True,
            env=environment,
        )
        os.close(theirs)
        self.seen = b""

    def until(self, text):
        """Wait for a text that is new."""
        deadline = time.monotonic() + 20
        while text not in self.seen:
            assert time.monotonic() < deadline, self.seen
            if select.select([self.ours], [], [], 0.1)[0]:
                self.seen += os.read(self.ours, 10000)
        self.seen = self.seen.partition(text)[2]

    def type(self, keys):
        os.write(self.ours, keys)

    def end(self):
        """The exit code."""
        return self.process.wait(10)


@pytest.fixture
def terminal(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    terminal = Terminal()
    yield terminal
    terminal.process.kill()
    terminal.process.wait()
    os.close(terminal.ours)


@pytest.mark.slow
def test_ctrl_c(terminal):
    terminal.until(b"> ")
    terminal.type(b"long\n")
    terminal.until(b"tick tick")
    terminal.type(CTRL_C)
    terminal.until(b"> ")
    terminal.type(b"half")
    terminal.until(b"half")
    terminal.type(CTRL_C)
    terminal.until(b"> ")
    terminal.type(b"/save it.jsonl\n")
    terminal.until(b"> ")
    saved = Path("it.jsonl").read_text()
    assert saved.count("half") == 0
    assert 1 < saved.count("tick") < 500
    terminal.type(CTRL_C)
    assert terminal.end() == 0


@pytest.mark.slow
def test_keys_and_markdown(terminal):
    terminal.until(b"> ")
    terminal.type(b"hello\n")
    terminal.until(b"short")
    terminal.until(b"> ")
    assert b"**short**" not in terminal.seen
    terminal.type(UP + b" again\n")
    terminal.until(b"hello again")
    terminal.until(b"> ")
    terminal.type(CTRL_D)
    assert terminal.end() == 0
