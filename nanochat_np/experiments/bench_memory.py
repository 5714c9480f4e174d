"""Memory: of a training that goes on, and the most that this process has held.

Of training, each case is in a process of its own, where growth has nowhere to hide: freed memory stays with a process,
see `backend.allocator`, and after other cases a leak would fill what they left.
"""

import re
from pathlib import Path

import msgspec
import numpy as np

from nanochat_np.backend import memory
from nanochat_np.backend.device import Device
from nanochat_np.backend.environment import available_cpus
from nanochat_np.experiments.bench_training import Case, Training
from nanochat_np.experiments.lanes import in_lanes

_CHUNK = 100


class MemoryFigure(msgspec.Struct, frozen=True, kw_only=True):
    """Memory of a process (and the GPU's pool) that trains a case alone: warm, and ``steps`` steps later."""

    name: str
    steps: int
    start_bytes: int
    end_bytes: int


class MemoryCase(msgspec.Struct, frozen=True):
    """What a process is asked for."""

    case: Case
    tokens: np.ndarray
    device: Device
    steps: int


def measure_memory(case: Case, tokens: np.ndarray, device: Device, steps: int) -> MemoryFigure:
    """Measure in a new process.  Raises what was raised there, BrokenProcessPool if the process died."""
    asked = MemoryCase(case, tokens, device, steps)
    [(_, result)] = in_lanes(train_on, [asked], jobs=1, threads=available_cpus())
    if isinstance(result, BaseException):
        raise result
    return result


def train_on(asked: MemoryCase) -> MemoryFigure:
    """Warm up, then train for the steps; in this process."""
    training = Training(asked.case, asked.tokens, asked.device)
    training.advance(_CHUNK)
    start = asked.device.memory_bytes()
    for _ in range(asked.steps // _CHUNK):
        training.advance(_CHUNK)
    return MemoryFigure(
        name=asked.case.name, steps=asked.steps, start_bytes=start, end_bytes=asked.device.memory_bytes()
    )


def peak_resident_bytes() -> int:
    """The most that was resident at a time in this process; outside Linux, what is now.

    (What the system tells of finished or forked processes can be that of the process that began this one.)
    """
    try:
        status = Path("/proc/self/status").read_text(encoding="ascii", errors="replace")
    except OSError:
        status = ""
    found = re.search(r"VmHWM:\s*(\d+) kB", status)
    return 1024 * int(found[1]) if found else memory.resident_bytes()


def pool_bytes(device: Device) -> int | None:
    """What CuPy's pool has taken from a GPU, and never gives back by itself; None on the CPU."""
    return None if device.index is None else int(device.xp.get_default_memory_pool().total_bytes())


def mebibytes(count: int | None) -> float | None:
    """For a summary."""
    return None if count is None else count / 2**20
