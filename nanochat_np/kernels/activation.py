"""Squared ReLU in one pass (reference: `ops.activation`)."""

import numpy as np
from numba import prange

from nanochat_np.backend.jit import njit
from nanochat_np.kernels.norm import new
from nanochat_np.kernels.threads import SHARED, shared

_BLOCK = 1 << 14  # numbers that a thread takes at a time


def relu_squared(x: np.ndarray) -> tuple[np.ndarray, tuple[np.ndarray]]:
    """As `ops.activation.relu_squared`."""
    x = np.ascontiguousarray(x)
    y, r = new(x), new(x)
    (_forward if x.size < SHARED else _forward_in_blocks)(x.reshape(-1), y.reshape(-1), r.reshape(-1))
    return y, (r,)


def relu_squared_backward(dy: np.ndarray, cache: tuple[np.ndarray]) -> np.ndarray:
    """As `ops.activation.relu_squared_backward`."""
    r, dy = np.ascontiguousarray(cache[0]), np.ascontiguousarray(dy)
    dx = new(dy)
    (_backward if r.size < SHARED else _backward_in_blocks)(dy.reshape(-1), r.reshape(-1), dx.reshape(-1))
    return dx


def relu_squared_again(cache: tuple[np.ndarray]) -> np.ndarray:
    """As `ops.activation.relu_squared_again`."""
    r = np.ascontiguousarray(cache[0])
    y = new(r)
    _square_in_blocks(r.reshape(-1), y.reshape(-1))
    return y


@njit(cache=True)
def _forward(x, y, r):  # type: ignore[no-untyped-def]
    zero = x.dtype.type(0)
    for i in range(x.size):
        r[i] = zero if x[i] <= zero else x[i]  # written so that NaN passes through
        y[i] = r[i] * r[i]


@njit(cache=True)
def _backward(dy, r, dx):  # type: ignore[no-untyped-def]
    for i in range(dy.size):
        dx[i] = (r[i] + r[i]) * dy[i]


@njit(cache=True)
def _square(r, y):  # type: ignore[no-untyped-def]
    for i in range(r.size):
        y[i] = r[i] * r[i]


@njit(cache=True, parallel=True)
def _forward_in_blocks(x, y, r):  # type: ignore[no-untyped-def]
    for block in prange((x.size + _BLOCK - 1) // _BLOCK):
        part = slice(block * _BLOCK, (block + 1) * _BLOCK)
        _forward(x[part], y[part], r[part])


@njit(cache=True, parallel=True)
def _backward_in_blocks(dy, r, dx):  # type: ignore[no-untyped-def]
    for block in prange((r.size + _BLOCK - 1) // _BLOCK):
        part = slice(block * _BLOCK, (block + 1) * _BLOCK)
        _backward(dy[part], r[part], dx[part])


@shared
@njit(cache=True, parallel=True)
def _square_in_blocks(r, y):  # type: ignore[no-untyped-def]
    for block in prange((r.size + _BLOCK - 1) // _BLOCK):
        part = slice(block * _BLOCK, (block + 1) * _BLOCK)
        _square(r[part], y[part])
