"""Squared ReLU in one pass (reference: `ops.activation`)."""

import numpy as np

from nanochat_np.backend.jit import njit


def relu_squared(x: np.ndarray) -> tuple[np.ndarray, tuple[np.ndarray]]:
    """As `ops.activation.relu_squared`."""
    x = np.ascontiguousarray(x)
    y, r = np.empty_like(x), np.empty_like(x)
    _forward(x.reshape(-1), y.reshape(-1), r.reshape(-1))
    return y, (r,)


def relu_squared_backward(dy: np.ndarray, cache: tuple[np.ndarray]) -> np.ndarray:
    """As `ops.activation.relu_squared_backward`."""
    (r,) = cache
    dy = np.ascontiguousarray(dy)
    dx = np.empty_like(dy)
    _backward(dy.reshape(-1), np.ascontiguousarray(r).reshape(-1), dx.reshape(-1))
    return dx


@njit(cache=True)
def _forward(x, y, r):  # type: ignore[no-untyped-def]
    zero = x.dtype.type(0)
    for i in range(x.shape[0]):
        r[i] = zero if x[i] <= zero else x[i]  # written so that NaN passes through
        y[i] = r[i] * r[i]


@njit(cache=True)
def _backward(dy, r, dx):  # type: ignore[no-untyped-def]
    for i in range(dy.shape[0]):
        dx[i] = (r[i] + r[i]) * dy[i]
