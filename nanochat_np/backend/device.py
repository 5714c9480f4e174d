"""Devices: the CPU with NumPy, or an NVIDIA GPU with CuPy.  The only module that imports CuPy."""

import contextlib
import importlib.util
from collections.abc import Iterator
from dataclasses import dataclass
from types import ModuleType

import numpy as np

from nanochat_np.backend import memory
from nanochat_np.backend.arrays import Array
from nanochat_np.errors import ConfigError


def cupy_or_none() -> ModuleType | None:
    """CuPy, imported now, or None where it is not installed or its libraries do not load."""
    if importlib.util.find_spec("cupy") is None:
        return None
    try:
        import cupy
    except ImportError:
        return None
    return cupy


def find_cuda() -> tuple[bool, str]:
    """Whether a GPU can be used, and if not the reason with what to do about it."""
    if importlib.util.find_spec("cupy") is None:
        return False, "CuPy is not installed: pip install 'nanochat-np[cuda12]' (or [cuda13], by your CUDA version)"
    cupy = cupy_or_none()
    if cupy is None:
        return False, "CuPy is installed but does not import: reinstall the one wheel that fits your CUDA version"
    try:
        count = cupy.cuda.runtime.getDeviceCount()
    except cupy.cuda.runtime.CUDARuntimeError as error:
        return False, f"CuPy finds no usable GPU ({error}): check the NVIDIA driver with nvidia-smi"
    return (True, f"{count} GPU(s)") if count else (False, "CuPy finds no GPU: check the NVIDIA driver with nvidia-smi")


@dataclass(frozen=True)
class Device:
    """Where arrays live.  ``index`` is None on the CPU and the GPU's number on CUDA."""

    index: int | None = None

    @property
    def name(self) -> str:
        return "cpu" if self.index is None else f"cuda:{self.index}"

    @property
    def backend(self) -> str:
        """Name of the array library: ``numpy`` or ``cupy``."""
        return self.xp.__name__

    @property
    def xp(self) -> ModuleType:
        """The array library itself."""
        if self.index is None:
            return np
        cupy = cupy_or_none()
        assert cupy is not None  # select_device saw it
        return cupy

    @contextlib.contextmanager
    def active(self) -> Iterator[None]:
        """Make this the device that new arrays are made on."""
        if self.index is None:
            yield
        else:
            with self.xp.cuda.Device(self.index):
                yield

    def array(self, values: Array, dtype: str | type | None = None) -> Array:
        """A copy of ``values`` on this device, in ``dtype``, C-contiguous."""
        return self.xp.array(values, dtype=dtype, order="C")

    def synchronize(self) -> None:
        """Wait until all work given to the device is done; a clock is read only after this."""
        if self.index is not None:
            self.xp.cuda.get_current_stream().synchronize()

    def memory_bytes(self) -> int:
        """Memory this process holds: resident on the CPU, plus CuPy's pool on a GPU."""
        pool = 0 if self.index is None else self.xp.get_default_memory_pool().total_bytes()
        return memory.resident_bytes() + pool


def select_device(flag: str) -> Device:
    """Turn ``--device auto|cpu|cuda|cuda:N`` into a device.

    ``auto`` takes the first GPU if CuPy and one are there.  Raises ConfigError where ``cuda`` is asked for and cannot
    be had: there is never a silent run on the CPU.
    """
    if flag == "cpu":
        return Device()
    available, reason = find_cuda()
    if flag == "auto":
        return Device(0) if available else Device()
    if not available:
        raise ConfigError(f"--device {flag}: {reason}; or use --device cpu")
    index = int(flag.partition(":")[2] or 0)
    device = Device(index)
    count = device.xp.cuda.runtime.getDeviceCount()
    if index >= count:
        raise ConfigError(f"--device {flag}: there are {count} GPUs, numbered from 0")
    return device
