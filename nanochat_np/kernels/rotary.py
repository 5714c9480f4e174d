"""Rotary embedding and norm of queries and keys in one pass (reference: `ops.rotary`)."""

from typing import Any

import numpy as np
from numba import prange

from nanochat_np.backend import empty
from nanochat_np.backend.jit import njit
from nanochat_np.kernels.threads import shared

_SUMS = {"reassoc", "contract"}


def rotary_norm(x: np.ndarray, cos: np.ndarray, sin: np.ndarray, scale: float, eps: float) -> tuple[np.ndarray, Any]:
    """As `ops.rotary.rotary_norm`."""
    y, rstd = empty(x.shape, x.dtype, like=x), empty((*x.shape[:-1], 1), x.dtype, like=x)
    _forward(np.ascontiguousarray(x), cos, sin, x.dtype.type(scale), x.dtype.type(eps), y, rstd)
    return y, (y, rstd, cos, sin, scale)


def rotary_norm_backward(dy: np.ndarray, cache: Any) -> np.ndarray:
    """As `ops.rotary.rotary_norm_backward`."""
    y, rstd, cos, sin, scale = cache
    dx = empty(dy.shape, dy.dtype, like=dy)
    dy, y, rstd = (np.ascontiguousarray(a) for a in (dy, y, rstd))
    _backward(dy, y, rstd, cos, sin, y.dtype.type(scale), dx)
    return dx


@njit(cache=True, fastmath=_SUMS)
def turn(x, cos, sin, y):  # type: ignore[no-untyped-def]
    """Of one head at one position.  Returns Σ y²."""
    half = cos.size
    x1, x2, y1, y2 = x[:half], x[half:], y[:half], y[half:]
    total = x.dtype.type(0)
    for j in range(half):
        a, b = x1[j] * cos[j] + x2[j] * sin[j], x2[j] * cos[j] - x1[j] * sin[j]
        y1[j], y2[j] = a, b
        total += a * a + b * b
    return total


@njit(cache=True, fastmath=_SUMS)
def dot(x, y):  # type: ignore[no-untyped-def]
    total = x.dtype.type(0)
    for j in range(x.size):
        total += x[j] * y[j]
    return total


@njit(cache=True, fastmath=_SUMS)
def _turn_back(dy, y, share, factor, cos, sin, dx):  # type: ignore[no-untyped-def]
    half = cos.size
    dy1, dy2, y1, y2, dx1, dx2 = dy[:half], dy[half:], y[:half], y[half:], dx[:half], dx[half:]
    for j in range(half):
        a, b = factor * (dy1[j] - y1[j] * share), factor * (dy2[j] - y2[j] * share)
        dx1[j], dx2[j] = a * cos[j] - b * sin[j], a * sin[j] + b * cos[j]


@shared
@njit(cache=True, parallel=True)
def _forward(x, cos, sin, scale, eps, y, rstd):  # type: ignore[no-untyped-def]
    batch, time, heads, width = x.shape
    for n in prange(batch * time):
        b, t = n // time, n % time
        for h in range(heads):
            total = turn(x[b, t, h], cos[t], sin[t], y[b, t, h])
            r = x.dtype.type(1) / np.sqrt(total / x.dtype.type(width) + eps)
            rstd[b, t, h, 0] = r
            for j in range(width):
                y[b, t, h, j] *= r * scale


@shared
@njit(cache=True, parallel=True)
def _backward(dy, y, rstd, cos, sin, scale, dx):  # type: ignore[no-untyped-def]
    """With y = scale · normed: rstd · (scale · dy − normed · mean(scale · dy · normed)), turned back."""
    batch, time, heads, width = dy.shape
    for n in prange(batch * time):
        b, t = n // time, n % time
        for h in range(heads):
            share = dot(dy[b, t, h], y[b, t, h]) / (dy.dtype.type(width) * scale * scale)
            factor = rstd[b, t, h, 0] * scale
            _turn_back(dy[b, t, h], y[b, t, h], share, factor, cos[t], sin[t], dx[b, t, h])
