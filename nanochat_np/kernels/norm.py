"""RMS normalisation in one pass over memory a row (reference: `ops.norm`)."""

import numpy as np

from nanochat_np.backend.jit import njit

# Sums may be re-associated so that they fill vector registers; nothing else is relaxed, NaN and infinity stay.
_SUMS = {"reassoc", "contract"}


def rms_norm(x: np.ndarray, eps: float = 1e-5) -> tuple[np.ndarray, tuple[np.ndarray, np.ndarray]]:
    """As `ops.norm.rms_norm`."""
    rows = np.ascontiguousarray(x).reshape(-1, x.shape[-1])
    y = np.empty_like(rows)
    rstd = np.empty((len(rows), 1), x.dtype)
    _forward(rows, x.dtype.type(eps), y, rstd)
    y = y.reshape(x.shape)
    return y, (y, rstd.reshape(*x.shape[:-1], 1))


def rms_norm_backward(dy: np.ndarray, cache: tuple[np.ndarray, np.ndarray]) -> np.ndarray:
    """As `ops.norm.rms_norm_backward`."""
    y, rstd = cache
    rows = np.ascontiguousarray(dy).reshape(-1, dy.shape[-1])
    dx = np.empty_like(rows)
    _backward(rows, np.ascontiguousarray(y).reshape(rows.shape), rstd.reshape(-1, 1), dx)
    return dx.reshape(dy.shape)


@njit(cache=True, fastmath=_SUMS)
def _forward(x, eps, y, rstd):  # type: ignore[no-untyped-def]
    for n in range(x.shape[0]):
        total = x[n, 0] * x[n, 0]
        for c in range(1, x.shape[1]):
            total += x[n, c] * x[n, c]
        r = 1 / np.sqrt(total / x.dtype.type(x.shape[1]) + eps)
        rstd[n, 0] = r
        for c in range(x.shape[1]):
            y[n, c] = x[n, c] * r


@njit(cache=True, fastmath=_SUMS)
def _backward(dy, y, rstd, dx):  # type: ignore[no-untyped-def]
    for n in range(dy.shape[0]):
        total = dy[n, 0] * y[n, 0]
        for c in range(1, dy.shape[1]):
            total += dy[n, c] * y[n, c]
        mean = total / dy.dtype.type(dy.shape[1])
        for c in range(dy.shape[1]):
            dx[n, c] = rstd[n, 0] * (dy[n, c] - y[n, c] * mean)
