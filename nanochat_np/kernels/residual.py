"""Sums into memory that is there already (reference: `ops.residual`)."""

import numpy as np
from numba import prange

from nanochat_np.backend.jit import njit
from nanochat_np.kernels.threads import shared

_BLOCK = 1 << 14  # numbers that a thread takes at a time


def add_to(total: np.ndarray, x: np.ndarray, scale: float = 1.0) -> None:
    """As `ops.residual.add_to`, for a ``total`` that is contiguous."""
    _add(total.reshape(-1), np.ascontiguousarray(x).reshape(-1), total.dtype.type(scale))


@njit(cache=True, fastmath={"contract"})
def _add_block(total, x, scale):  # type: ignore[no-untyped-def]
    for i in range(x.size):
        total[i] += scale * x[i]


@shared
@njit(cache=True, parallel=True)
def _add(total, x, scale):  # type: ignore[no-untyped-def]
    for block in prange((x.size + _BLOCK - 1) // _BLOCK):
        part = slice(block * _BLOCK, (block + 1) * _BLOCK)
        _add_block(total[part], x[part], scale)
