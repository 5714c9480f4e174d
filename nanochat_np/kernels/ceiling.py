"""What this CPU can do at best, measured: tiles whose operands stay in the first-level cache, and a copy of memory.

A roofline of numbers that were read from a data sheet would need the clock, which a virtual machine does not tell.
Source: Williams et al. 2009, Roofline.
"""

import time

import numpy as np
from numba import get_num_threads, prange

from nanochat_np.backend import default_pool
from nanochat_np.backend.jit import njit
from nanochat_np.kernels.micro_kernel import NUMBER
from nanochat_np.kernels.tiles import COLUMNS, PANEL_ROW, ROWS, address, multiply

_STEPS = 256  # of a tile, as a product takes them: 32 KiB of B and 8 KiB of A
_TILES = 1000


def in_cache_gflops(dtype: str, seconds: float = 0.1) -> float:
    """Operations of all threads' tiles, in 10⁹ a second, the fastest found; ``dtype`` float32 or bfloat16."""
    threads, pairs = get_num_threads(), dtype == "bfloat16"
    room = default_pool.empty((threads, (ROWS + COLUMNS) * _STEPS + ROWS * COLUMNS), np.float32)
    room.fill(0)
    per_call = 2.0 * ROWS * COLUMNS * _STEPS * (2 if pairs else 1) * _TILES * threads
    return per_call / _fastest(seconds, lambda: _tiles(pairs, threads, address(room), room.strides[0])) / 1e9


def copy_gigabytes(size: int = 1 << 26, seconds: float = 0.1) -> float:
    """10⁹ bytes a second, read and written, of a copy of ``size`` numbers of four bytes by all threads."""
    x, y = (default_pool.empty((size,), np.float32) for _ in range(2))
    x.fill(1)
    return 2.0 * x.nbytes / _fastest(seconds, lambda: _copy(get_num_threads(), x, y)) / 1e9


def _fastest(seconds: float, work) -> float:  # type: ignore[no-untyped-def]
    """Of the calls that fit into the time, and at least two: the first one compiles."""
    work()
    fastest, end = np.inf, time.perf_counter() + seconds
    while (begin := time.perf_counter()) < end or fastest == np.inf:
        work()
        fastest = min(fastest, time.perf_counter() - begin)
    return float(fastest)


@njit(cache=True, parallel=True, nogil=True)
def _tiles(pairs, threads, room, stride):  # type: ignore[no-untyped-def]
    for thread in prange(threads):
        a = room + thread * stride
        b = a + NUMBER * ROWS * _STEPS
        c = b + PANEL_ROW * _STEPS
        for _ in range(_TILES):
            multiply(pairs, ROWS, _STEPS, a, NUMBER * _STEPS, b, c, PANEL_ROW, COLUMNS, 0)


@njit(cache=True, parallel=True, nogil=True)
def _copy(threads, x, y):  # type: ignore[no-untyped-def]
    part = (x.size + threads - 1) // threads
    for thread in prange(threads):
        _copy_part(x[thread * part : (thread + 1) * part], y[thread * part : (thread + 1) * part])


@njit
def _copy_part(x, y):  # type: ignore[no-untyped-def]
    for i in range(x.size):
        y[i] = x[i]
