"""Smear in one pass each way (reference: `ops.smear`)."""

import numpy as np
from numba import prange

from nanochat_np.backend import empty
from nanochat_np.backend.jit import njit
from nanochat_np.kernels.exponential import exp
from nanochat_np.kernels.threads import shared

_SUMS = {"reassoc", "contract"}

Cache = tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]


def smear(x: np.ndarray, w: np.ndarray, strength: np.ndarray) -> tuple[np.ndarray, Cache]:
    """As `ops.smear.smear`."""
    y, u = empty(x.shape, x.dtype, like=x), np.empty((x.shape[0], x.shape[1] - 1, 1), x.dtype)
    _forward(np.ascontiguousarray(x), np.ascontiguousarray(w), strength[0], y, u)
    return y, (x, u, w, strength)


def smear_backward(dy: np.ndarray, cache: Cache) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """As `ops.smear.smear_backward`."""
    x, u, w, strength = cache
    dx, s = empty(dy.shape, dy.dtype, like=dy), np.zeros(dy.shape[:2], dy.dtype)
    rows = np.ascontiguousarray(x), np.ascontiguousarray(u), np.ascontiguousarray(w)
    _backward(np.ascontiguousarray(dy), *rows, strength[0], dx, s)
    s, u = s[:, 1:], u[..., 0]  # (B, T - 1)
    dz = strength * s * u * (1 - u)
    dw = np.tensordot(dz, x[:, 1:, : w.shape[1]], 2)[None]
    return dx, dw, (s * u).sum().reshape(1)


@njit(cache=True)
def _sigmoid(z):  # type: ignore[no-untyped-def]
    one, e = type(z)(1), exp(-abs(z))
    return (e if z < 0 else one) / (one + e)


@shared
@njit(cache=True, parallel=True, fastmath=_SUMS)
def _forward(x, w, strength, y, u):  # type: ignore[no-untyped-def]
    batch, time, width = x.shape
    for n in prange(batch * time):
        b, t = n // time, n % time
        if t == 0:
            for c in range(width):
                y[b, t, c] = x[b, t, c]
        else:
            z = x.dtype.type(0)
            for i in range(w.shape[1]):
                z += w[0, i] * x[b, t, i]
            gate = _sigmoid(z)
            u[b, t - 1, 0] = gate
            for c in range(width):
                y[b, t, c] = x[b, t, c] + strength * gate * x[b, t - 1, c]


@shared
@njit(cache=True, parallel=True, fastmath=_SUMS)
def _backward(dy, x, u, w, strength, dx, s):  # type: ignore[no-untyped-def]
    batch, time, width = dy.shape
    for n in prange(batch * time):
        b, t = n // time, n % time
        if t + 1 < time:
            share = strength * u[b, t, 0]
            for c in range(width):
                dx[b, t, c] = dy[b, t, c] + share * dy[b, t + 1, c]
        else:
            for c in range(width):
                dx[b, t, c] = dy[b, t, c]
        if t > 0:
            product = dy.dtype.type(0)
            for c in range(width):
                product += dy[b, t, c] * x[b, t - 1, c]
            s[b, t] = product
            gate = u[b, t - 1, 0]
            dz = strength * product * gate * (dy.dtype.type(1) - gate)
            for i in range(w.shape[1]):
                dx[b, t, i] += dz * w[0, i]
