"""What stands between the products of blockwise attention, in one pass over a block (reference: the ops of that name).

The blocks are overwritten, and what a row does not see is never computed.
"""

import math

import numpy as np
from numba import prange

from nanochat_np.backend import empty
from nanochat_np.backend.jit import njit
from nanochat_np.kernels.exponential import exp
from nanochat_np.kernels.threads import shared

_SUMS = {"reassoc", "contract"}


def causal_softmax(z: np.ndarray, scale: float, position: int, window: int | None) -> tuple[np.ndarray, np.ndarray]:
    """As `ops.blockwise_attention.causal_softmax`."""
    z = np.ascontiguousarray(z)
    lse = np.empty(z.shape[:-1], z.dtype)
    _forward(_rows(z, z), z.dtype.type(scale), position, reach(window), _rows(lse, z))
    return z, lse


def causal_softmax_backward(
    dp: np.ndarray,
    z: np.ndarray,
    lse: np.ndarray,
    delta: np.ndarray,
    scale: float,
    position: int,
    window: int | None,
) -> tuple[np.ndarray, np.ndarray]:
    """As `ops.blockwise_attention.causal_softmax_backward`."""
    dp, z = np.ascontiguousarray(dp), np.ascontiguousarray(z)
    rows = (_rows(x, z) for x in (dp, z, lse, delta))
    _backward(*rows, z.dtype.type(scale), position, reach(window))
    return z, dp


def head_dots(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """As `ops.blockwise_attention.head_dots`."""
    total = empty(x.shape[:-1], x.dtype, like=x)
    _dots(*(np.ascontiguousarray(a.swapaxes(1, 2)) for a in (x, y)), total)
    return total


def _rows(x: np.ndarray, z: np.ndarray) -> np.ndarray:
    """x with the leading axes of the scores z as one.  (No -1: where no query sees a block, there are no rows.)"""
    lead = math.prod(z.shape[:-2])
    return np.ascontiguousarray(x).reshape(lead, *x.shape[z.ndim - 2 :])


def reach(window: int | None) -> int:
    """Positions back that a row sees, for compiled code."""
    return np.iinfo(np.int64).max // 2 if window is None else window


@njit(cache=True)
def clear(x):  # type: ignore[no-untyped-def]
    """x = 0.  (An assignment to a slice takes Numba seconds to compile.)"""
    for i in range(x.size):
        x[i] = 0


@njit(cache=True, fastmath={"reassoc", "contract", "nnan", "nsz"})
def _top(z):  # type: ignore[no-untyped-def]
    """Largest of a row's numbers.  That a NaN may be passed over is no harm: its exponential is NaN."""
    top = z[0]
    for s in range(1, z.size):
        top = max(top, z[s])
    return top


@njit(cache=True, fastmath=_SUMS, error_model="numpy")
def softmax(z, scale):  # type: ignore[no-untyped-def]
    """Of a row, in place.  Returns the logarithm of the denominator."""
    top, mass = _top(z), z.dtype.type(0)
    for s in range(z.size):
        e = exp((z[s] - top) * scale)
        z[s] = e
        mass += e
    share = z.dtype.type(1) / mass
    for s in range(z.size):
        z[s] *= share
    return top * scale + np.log(mass)


@njit(cache=True, fastmath=_SUMS)
def softmax_backward(dp, z, lse, delta, scale):  # type: ignore[no-untyped-def]
    """Of a row, in place: z becomes the weights, dp the gradient of z."""
    for s in range(z.size):
        p = exp(z[s] * scale - lse)
        z[s] = p
        dp[s] = p * (dp[s] - delta) * scale


@shared
@njit(cache=True, parallel=True)
def _forward(z, scale, position, window, lse):  # type: ignore[no-untyped-def]
    time, keys = z.shape[1:]
    for n in prange(z.shape[0] * time):
        h, t = n // time, n % time
        start, stop = max(0, t + position - window), min(keys, t + position + 1)
        lse[h, t] = softmax(z[h, t, start:stop], scale)
        clear(z[h, t, :start])
        clear(z[h, t, stop:])


@shared
@njit(cache=True, parallel=True)
def _backward(dp, z, lse, delta, scale, position, window):  # type: ignore[no-untyped-def]
    time, keys = z.shape[1:]
    for n in prange(z.shape[0] * time):
        h, t = n // time, n % time
        start, stop = max(0, t + position - window), min(keys, t + position + 1)
        softmax_backward(dp[h, t, start:stop], z[h, t, start:stop], lse[h, t], delta[h, t], scale)
        for block in (z, dp):
            clear(block[h, t, :start])
            clear(block[h, t, stop:])


@shared
@njit(cache=True, parallel=True, fastmath=_SUMS)
def _dots(x, y, total):  # type: ignore[no-untyped-def]
    batch, time, heads, width = x.shape
    for n in prange(batch * time):
        b, t = n // time, n % time
        for h in range(heads):
            product = x.dtype.type(0)
            for d in range(width):
                product += x[b, t, h, d] * y[b, t, h, d]
            total[b, h, t] = product
