"""What stands between the matrix products of Muon, as compiled passes over memory (reference: `optim.muon`)."""

import numpy as np

from nanochat_np.backend.jit import njit

_SUMS = {"reassoc", "contract"}


def nesterov(g: np.ndarray, momentum_buffer: np.ndarray, momentum: float, grad_scale: float, out: np.ndarray) -> None:
    """As `optim.muon.nesterov`."""
    real = g.dtype.type
    _nesterov(np.ascontiguousarray(g), momentum_buffer, real(momentum), real(1 - momentum), real(grad_scale), out)


def square_sums(x: np.ndarray, axis: int) -> np.ndarray:
    """As `optim.muon.square_sums`."""
    if axis == -1:
        return _row_sums(x)
    return _column_sums(x)


def polynomial(s: np.ndarray, square: np.ndarray, a: float, b: float, c: float) -> np.ndarray:
    """As `optim.muon.polynomial`."""
    real = s.dtype.type
    _polynomial(s, square, real(a), real(b), real(c))
    return square


def cautious_descent(p: np.ndarray, x: np.ndarray, rate: float, weight_decay: float) -> None:
    """As `optim.muon.cautious_descent`."""
    real = p.dtype.type
    _cautious_descent(p, x, real(rate), real(rate) * real(weight_decay))


@njit(cache=True)
def _nesterov(g, momentum_buffer, keep, take, scale, u):  # type: ignore[no-untyped-def]
    g, m, u = g.reshape(-1), momentum_buffer.reshape(-1), u.reshape(-1)
    for i in range(g.size):
        slope = scale * g[i]
        m[i] += take * (slope - m[i])
        u[i] = slope + keep * (m[i] - slope)


@njit(cache=True, fastmath=_SUMS)
def _row_sums(x):  # type: ignore[no-untyped-def]
    sums = np.empty((x.shape[0], x.shape[1], 1), x.dtype)
    for k in range(x.shape[0]):
        for i in range(x.shape[1]):
            total = x.dtype.type(0)
            for j in range(x.shape[2]):
                total += x[k, i, j] * x[k, i, j]
            sums[k, i, 0] = total
    return sums


@njit(cache=True, fastmath=_SUMS)
def _column_sums(x):  # type: ignore[no-untyped-def]
    sums = np.zeros((x.shape[0], 1, x.shape[2]), x.dtype)
    for k in range(x.shape[0]):
        for i in range(x.shape[1]):
            for j in range(x.shape[2]):
                sums[k, 0, j] += x[k, i, j] * x[k, i, j]
    return sums


@njit(cache=True)
def _polynomial(s, square, a, b, c):  # type: ignore[no-untyped-def]
    for k in range(s.shape[0]):
        for i in range(s.shape[1]):
            for j in range(s.shape[2]):
                square[k, i, j] = c * square[k, i, j] + b * s[k, i, j]
            square[k, i, i] += a


@njit(cache=True)
def _cautious_descent(p, x, rate, decay):  # type: ignore[no-untyped-def]
    p, x = p.reshape(-1), x.reshape(-1)
    for i in range(p.size):
        pull = decay if x[i] * p[i] >= 0 else p.dtype.type(0)
        p[i] -= rate * x[i] + pull * p[i]
