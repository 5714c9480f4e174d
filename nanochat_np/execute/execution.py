"""One program in a child process, and what came of it."""

import contextlib
import math
import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import BinaryIO

import msgspec

from nanochat_np.errors import RunError
from nanochat_np.execute.layers import PROGRAMS, Layer, enclosed, strongest_layer

MEMORY_BYTES = 256 * 2**20
FILE_BYTES = 2**20  # of each file the child writes, and so of its output, which goes to files
PROCESSES = 8  # with threads


class Execution(msgspec.Struct, frozen=True, kw_only=True):
    """How a program ended: ``success`` is an exit status of 0; ``error`` is the last line of stderr, or what killed it.

    ``stdout`` and ``stderr`` hold what it printed until then, each at most FILE_BYTES: printing more is an error.
    """

    success: bool
    stdout: str
    stderr: str
    error: str | None
    timed_out: bool
    memory_exceeded: bool


def execute_code(
    code: str, *, timeout: float = 5.0, memory_bytes: int = MEMORY_BYTES, layer: Layer | None = None
) -> Execution:
    """Run Python ``code`` for at most ``timeout`` seconds, each of its processes with at most ``memory_bytes``.

    ``layer`` is the strongest there is by default; what each one stops, and what not, is told by `nanochat_np.execute`.
    Raises RunError where the system has none.
    """
    layer = layer or strongest_layer()
    if layer is None:
        raise RunError("generated code cannot be run here: this system has no limits on resources; Linux or macOS has")
    with (
        tempfile.TemporaryDirectory(prefix="nanochat_np-") as folder,
        tempfile.TemporaryFile() as program,
        tempfile.TemporaryFile() as stdout,
        tempfile.TemporaryFile() as stderr,
    ):
        program.write(code.encode("utf-8", "surrogatepass"))
        program.seek(0)
        child = subprocess.Popen(
            [*enclosed(layer, Path(folder)), *_python(timeout, memory_bytes)],
            stdin=program,
            stdout=stdout,
            stderr=stderr,
            cwd=folder,
            env={"PATH": PROGRAMS, "LANG": "C.UTF-8", "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"},
            start_new_session=True,
        )
        return _outcome(_ended(child, timeout), _text(stdout), _text(stderr), timeout)


def _python(timeout: float, memory_bytes: int) -> list[str]:
    source = Path(__file__).with_name("start.py").read_text(encoding="utf-8")  # not imported: Windows has no resource
    limits = (memory_bytes, math.ceil(timeout) + 1, FILE_BYTES, PROCESSES)
    return [sys.executable, "-I", "-B", "-X", "utf8", "-c", source, *map(str, limits)]


def _ended(child: "subprocess.Popen[bytes]", timeout: float) -> int | None:
    """The exit status, None where time was up; whatever is left of its process group is killed."""
    try:
        return child.wait(timeout)
    except subprocess.TimeoutExpired:
        return None
    finally:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(child.pid, signal.SIGKILL)
        child.wait()


def _outcome(status: int | None, stdout: str, stderr: str, timeout: float) -> Execution:
    last = stderr.strip().rpartition("\n")[2]
    if status is None:
        error: str | None = f"took longer than {timeout:g} s"
    elif status:
        error = last or (f"killed by {signal.Signals(-status).name}" if status < 0 else f"exit status {status}")
    else:
        error = None
    return Execution(
        success=status == 0,
        stdout=stdout,
        stderr=stderr,
        error=error,
        timed_out=status is None,
        memory_exceeded=bool(status) and last.startswith("MemoryError"),
    )


def _text(file: BinaryIO) -> str:
    file.seek(0)
    return file.read(FILE_BYTES).decode("utf-8", "replace")
