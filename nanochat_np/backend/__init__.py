"""The array module: which device, which arrays, which precision, which random numbers.

Everything else in the package asks here. An array decides where it lives (`array_module`), a `Device` makes arrays
there, and CuPy is imported in one place, lazily (`device.cupy_or_none`).
"""

from nanochat_np.backend import allocator as _allocator
from nanochat_np.backend import environment as _environment

_environment.prepare()  # before NumPy loads: the BLAS kernel and the thread budget are read once, at load
_allocator.keep_freed_memory()

from nanochat_np.backend.arrays import array_module, to_numpy  # noqa: E402
from nanochat_np.backend.device import Device, find_cuda, select_device  # noqa: E402
from nanochat_np.backend.pool import default_pool, empty, zeros  # noqa: E402
from nanochat_np.backend.random import stream, uniform_integers  # noqa: E402

__all__ = [
    "Device",
    "array_module",
    "default_pool",
    "empty",
    "find_cuda",
    "select_device",
    "stream",
    "to_numpy",
    "uniform_integers",
    "zeros",
]
