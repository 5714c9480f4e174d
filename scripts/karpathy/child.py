"""A child process: its output in files, its time and memory taken from outside, and an end when it takes too long."""

import contextlib
import os
import shlex
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import msgspec
import psutil

from karpathy.work import Command, Status

_TICK = 0.1  # seconds between looks at it
_LINES = 15  # of its stderr that are told
# What would change the allocator or BLAS of a side: both run as they come.
_DROPPED = ("OPENBLAS_CORETYPE", "GLIBC_TUNABLES", "LD_PRELOAD", "PYTHONPATH", "VIRTUAL_ENV")
_DROPPED_BEGINNING = ("MALLOC_", "NANOCHAT_", "TORCHDYNAMO_", "TORCHINDUCTOR_", "TORCH_COMPILE")


class Ended(msgspec.Struct, frozen=True, kw_only=True):
    """How a child ended.  ``message`` has the end of its stderr where it did not end well."""

    status: Status
    message: str
    seconds: float
    first_step_seconds: float | None
    process_mib: float
    tree_mib: float


def environment(variables: dict[str, str]) -> dict[str, str]:
    """This process's variables but for those that would favour a side, and ``variables``."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if name not in _DROPPED and not name.startswith(_DROPPED_BEGINNING)
    }
    return kept | {"PYTHONUNBUFFERED": "1"} | variables


def shown(command: Command) -> str:
    """As one would type it."""
    variables = [f"{name}={shlex.quote(value)}" for name, value in command.variables.items()]
    return " ".join([f"cd {shlex.quote(str(command.folder))} &&", *variables, shlex.join(command.arguments)])


def run_child(command: Command, log: Path, timeout: float, begun: Callable[[], bool]) -> Ended:
    """Run ``command`` with its output in ``log``.out and ``log``.err; ``begun`` tells whether a step is done.

    Its whole process group is killed after ``timeout`` seconds, and when this process is interrupted.
    """
    log.parent.mkdir(parents=True, exist_ok=True)
    out, err = (log.with_name(f"{log.name}.{end}") for end in ("out", "err"))
    begin = time.perf_counter()
    process_bytes = tree_bytes = 0
    first_step: float | None = None
    timed_out = False
    with open(out, "wb") as stdout, open(err, "wb") as stderr:
        try:
            child = psutil.Popen(
                command.arguments,
                cwd=command.folder,
                env=environment(command.variables),
                stdin=subprocess.DEVNULL,
                stdout=stdout,
                stderr=stderr,
                start_new_session=True,
            )
        except OSError as error:
            return Ended(
                status="failed",
                message=f"cannot be started: {error}",
                seconds=0.0,
                first_step_seconds=None,
                process_mib=0.0,
                tree_mib=0.0,
            )
        try:
            while child.poll() is None and not timed_out:
                own, children = _resident(child)
                process_bytes, tree_bytes = max(process_bytes, own), max(tree_bytes, own + children)
                if first_step is None and begun():
                    first_step = time.perf_counter() - begin
                timed_out = time.perf_counter() - begin > timeout
                with contextlib.suppress(psutil.TimeoutExpired):
                    child.wait(_TICK)
        finally:
            _kill_group(child.pid)
    seconds = time.perf_counter() - begin
    code = child.wait()
    if first_step is None and begun():
        first_step = seconds
    if timed_out:
        status: Status = "timeout"
        message = f"killed after {timeout:g} s"
    else:
        status = "failed" if code else "ok"
        message = f"exit code {code}" if code else ""
    return Ended(
        status=status,
        message=f"{message}\n{_tail(err)}".strip() if message else "",
        seconds=seconds,
        first_step_seconds=first_step,
        process_mib=process_bytes / 2**20,
        tree_mib=tree_bytes / 2**20,
    )


def _resident(child: psutil.Process) -> tuple[int, int]:
    """Bytes of the process, and of all that it began; pages that these share are counted for each."""
    own, children = 0, 0
    with contextlib.suppress(psutil.Error):
        own = child.memory_info().rss
        for each in child.children(recursive=True):
            with contextlib.suppress(psutil.Error):
                children += each.memory_info().rss
    return own, children


def _kill_group(leader: int) -> None:
    """What the child leaves behind (compilers) goes with it; it leads a group of its own."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(leader, signal.SIGKILL)


def _tail(path: Path) -> str:
    return "\n".join(path.read_text(encoding="utf-8", errors="replace").splitlines()[-_LINES:])
