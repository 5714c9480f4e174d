"""The program as a user starts it."""

import json
import os
import subprocess
import sys

import pytest

from nanochat_np import __version__
from nanochat_np.cli import COMMANDS

PROGRAM = [sys.executable, "-m", "nanochat_np"]
HEAVY = ("numpy", "numba", "llvmlite", "rich", "psutil", "cupy", "fire", "safetensors")


def _run(*arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    environment = _environment(**variables)
    return subprocess.run([*PROGRAM, *arguments], capture_output=True, text=True, encoding="utf-8", env=environment)


def test_the_commands_are_those_of_the_documentation() -> None:
    assert [command.name for command in COMMANDS] == [
        "train",
        "sample",
        "ablate",
        "tokenizer",
        "data",
        "pretrain",
        "midtrain",
        "sft",
        "infer",
        "chat",
        "eval",
        "speedrun",
        "rl",
        "report",
        "import",
        "export",
        "serve",
        "bench",
        "doctor",
    ]


def test_importing_the_package_imports_nothing_and_help_nothing_heavy() -> None:
    code = (
        "import sys, nanochat_np\n"
        "assert 'msgspec' not in sys.modules and 'dataclasses' not in sys.modules\n"
        "from nanochat_np.cli import main\n"
        "assert main(['train', '--help']) == 0 and main(['train', '--dpeth=8']) == 1\n"
        f"print([name for name in {HEAVY} if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"


def test_a_wrong_flag() -> None:
    done = _run("train", "--stpes=3", PYTHONIOENCODING="ascii")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == (
        "error: unknown flag --stpes of train; did you mean --steps? See: python -m nanochat_np train --help\n"
    )


@pytest.mark.slow
def test_threads_reach_blas_and_numba() -> None:
    done = _run("doctor", "--threads", "1", "--json", "--quiet")
    assert (done.returncode, done.stderr) == (0, "")
    summary = json.loads(done.stdout)
    assert summary["command"] == "doctor"
    assert summary["versions"]["nanochat_np"] == __version__
    assert summary["blas"]["numpy_came_first"] is False
    assert {summary["blas"]["set_here"][name] for name in ("OPENBLAS_NUM_THREADS", "NUMBA_NUM_THREADS")} == {"1"}
    assert summary["numba"].get("threads", 1) == 1
    assert all(speed > 0 for speed in summary["speed"].values())


@pytest.mark.skipif(sys.platform == "win32", reason="a pipe is closed in another way there")
def test_a_reader_that_has_gone_is_no_error() -> None:
    reader, writer = os.pipe()
    os.close(reader)
    try:
        done = subprocess.run(
            [*PROGRAM, "--help"], stdout=writer, stderr=subprocess.PIPE, env=_environment(), text=True
        )
    finally:
        os.close(writer)
    assert (done.returncode, done.stderr) == (141, "")


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs /dev/full")
def test_a_full_disk_under_stdout_is_one_line() -> None:
    with open("/dev/full", "w") as full:
        done = subprocess.run([*PROGRAM, "--help"], stdout=full, stderr=subprocess.PIPE, env=_environment(), text=True)
    assert done.returncode == 3
    assert done.stderr == "error: disk full: standard output: free some space, or choose another disk with --out\n"


def _environment(**variables: str) -> dict[str, str]:
    """This process's variables without those that choose threads, and with output buffered, as a user has it."""
    kept = {name: value for name, value in os.environ.items() if "THREADS" not in name and name != "PYTHONUNBUFFERED"}
    return kept | variables
