"""A child of the benchmark: how it ended, what it took, and that nothing of it stays behind."""

import sys
import time
from pathlib import Path

import psutil
import pytest
from karpathy import child
from karpathy.work import Command


@pytest.fixture(autouse=True)
def _quick(monkeypatch):
    monkeypatch.setattr(child, "_TICK", 0.01)


def run(code, folder, timeout=20.0, begun=lambda: False, **variables):
    command = Command([sys.executable, "-S", "-c", code], variables, folder)
    return child.run_child(command, folder / "logs" / "x", timeout, begun)


def test_a_child_that_ends_well(tmp_path):
    code = "import os, time; open('step', 'w'); x = bytearray(2**25); print(os.environ['HELLO']); time.sleep(0.1)"
    ended = run(code, tmp_path, begun=(tmp_path / "step").exists, HELLO="there")
    assert (ended.status, ended.message) == ("ok", "")
    assert (tmp_path / "logs" / "x.out").read_text() == "there\n"
    assert 0 < ended.first_step_seconds < ended.seconds
    assert 32 < ended.process_mib <= ended.tree_mib


def test_memory_of_its_children_is_told_apart(tmp_path):
    hold = "x = bytearray(2**26); input()"
    code = (
        "import subprocess, sys, time\n"
        f"p = subprocess.Popen([sys.executable, '-S', '-c', {hold!r}], stdin=subprocess.PIPE)\n"
        "time.sleep(0.15); p.communicate(b'\\n')"
    )
    ended = run(code, tmp_path)
    assert ended.status == "ok"
    assert ended.process_mib < 64 < ended.tree_mib - ended.process_mib


def test_a_child_that_fails_is_told_with_the_end_of_its_errors(tmp_path):
    code = "import sys; print('\\n'.join(map(str, range(99))) + '\\nout of luck', file=sys.stderr); sys.exit(7)"
    ended = run(code, tmp_path)
    assert ended.status == "failed"
    lines = ended.message.splitlines()
    assert (lines[0], lines[-1], len(lines)) == ("exit code 7", "out of luck", 16)
    assert ended.first_step_seconds is None


def test_a_child_that_takes_too_long_goes_with_what_it_began(tmp_path):
    code = (
        "import subprocess, sys, time\n"
        "p = subprocess.Popen([sys.executable, '-S', '-c', 'import time; time.sleep(60)'])\n"
        "open('pid', 'w').write(str(p.pid)); print('waiting', file=sys.stderr, flush=True)\n"
        "time.sleep(60)"
    )
    begin = time.perf_counter()
    ended = run(code, tmp_path, timeout=0.2)
    assert (ended.status, ended.message) == ("timeout", "killed after 0.2 s\nwaiting")
    assert time.perf_counter() - begin < 5
    grandchild = int((tmp_path / "pid").read_text())
    for _ in range(100):
        if not psutil.pid_exists(grandchild) or psutil.Process(grandchild).status() == psutil.STATUS_ZOMBIE:
            break
        time.sleep(0.01)
    else:
        pytest.fail("the grandchild lives on")


def test_a_program_that_is_not_there_is_a_failure(tmp_path):
    ended = child.run_child(Command(["/no/such/program"], {}, tmp_path), tmp_path / "x", 1.0, lambda: False)
    assert ended.status == "failed"
    assert "cannot be started" in ended.message


def test_children_get_no_tuning_of_the_caller(monkeypatch):
    for name in ("OPENBLAS_CORETYPE", "MALLOC_MMAP_MAX_", "LD_PRELOAD", "NANOCHAT_DTYPE", "TORCHDYNAMO_DISABLE"):
        monkeypatch.setenv(name, "1")
    monkeypatch.setenv("HOME_OF_TEST", "kept")
    found = child.environment({"NANOCHAT_DTYPE": "float32"})
    assert found["NANOCHAT_DTYPE"] == "float32"
    assert found["HOME_OF_TEST"] == "kept"
    assert not {"OPENBLAS_CORETYPE", "MALLOC_MMAP_MAX_", "LD_PRELOAD", "TORCHDYNAMO_DISABLE"} & found.keys()


def test_a_command_is_shown_as_it_would_be_typed():
    command = Command(["python", "-c", "print('a b')"], {"X": "1 2"}, Path("/some/where"))
    assert child.shown(command) == """cd /some/where && X='1 2' python -c 'print('"'"'a b'"'"')'"""
