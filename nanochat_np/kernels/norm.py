"""RMS normalisation in one pass over memory a row (reference: `ops.norm`)."""

import numpy as np
from numba import prange

from nanochat_np.backend import empty
from nanochat_np.backend.jit import njit
from nanochat_np.kernels.threads import SHARED, shared

# Sums may be re-associated so that they fill vector registers; nothing else is relaxed, NaN and infinity stay.
_SUMS = {"reassoc", "contract"}


def rms_norm(x: np.ndarray, eps: float = 1e-5) -> tuple[np.ndarray, tuple[np.ndarray, np.ndarray]]:
    """As `ops.norm.rms_norm`."""
    rows = _rows(x)
    y, rstd = _like(x), _factors(x)
    (_forward if x.size < SHARED else _shared_forward)(rows, x.dtype.type(eps), _rows(y), _rows(rstd))
    return y, (y, rstd)


def rms_norm_backward(dy: np.ndarray, cache: tuple[np.ndarray, np.ndarray]) -> np.ndarray:
    """As `ops.norm.rms_norm_backward`."""
    y, rstd = cache
    dx = _like(dy)
    (_backward if dy.size < SHARED else _shared_backward)(_rows(dy), _rows(y), _rows(rstd), _rows(dx))
    return dx


def add_norm(
    x: np.ndarray, y: np.ndarray, eps: float = 1e-5
) -> tuple[np.ndarray, np.ndarray, tuple[np.ndarray, np.ndarray]]:
    """As `ops.norm.add_norm`."""
    z, n, rstd = _like(x), _like(x), _factors(x)
    _add_forward(_rows(x), _rows(y), x.dtype.type(eps), _rows(z), _rows(n), _rows(rstd))
    return z, n, (n, rstd)


def add_norm_backward(dz: np.ndarray, dn: np.ndarray, cache: tuple[np.ndarray, np.ndarray]) -> np.ndarray:
    """As `ops.norm.add_norm_backward`."""
    n, rstd = cache
    dx = _like(dz)
    _add_backward(_rows(dz), _rows(dn), _rows(n), _rows(rstd), _rows(dx))
    return dx


def mix_norm(
    x: np.ndarray, x0: np.ndarray, a: np.floating, b: np.floating, eps: float = 1e-5
) -> tuple[np.ndarray, np.ndarray, tuple[np.ndarray, np.ndarray, np.floating, np.floating, np.ndarray]]:
    """As `ops.norm.mix_norm`."""
    m, n, rstd, real = _like(x), _like(x), _factors(x), x.dtype.type
    _mix_forward(_rows(x), _rows(x0), real(a), real(b), real(eps), _rows(m), _rows(n), _rows(rstd))
    return m, n, (x, x0, a, b, rstd)


def mix_norm_again(cache: tuple[np.ndarray, np.ndarray, np.floating, np.floating, np.ndarray]) -> np.ndarray:
    """As `ops.norm.mix_norm_again`."""
    x, x0, a, b, rstd = cache
    n, real = _like(x), x.dtype.type
    _mix_again(_rows(x), _rows(x0), real(a), real(b), _rows(rstd), _rows(n))
    return n


def mix_norm_backward(
    dm: np.ndarray,
    dn: np.ndarray,
    dx0: np.ndarray,
    cache: tuple[np.ndarray, np.ndarray, np.floating, np.floating, np.ndarray],
) -> tuple[np.ndarray, np.ndarray, np.floating, np.floating]:
    """As `ops.norm.mix_norm_backward`."""
    x, x0, a, b, rstd = cache
    dx, total, real = _like(x), _like(x), x.dtype.type
    shares = np.empty((rstd.size, 2), x.dtype)
    of_cache = _rows(x), _rows(x0), real(a), real(b), _rows(rstd)
    _mix_backward(_rows(dm), _rows(dn), _rows(dx0), *of_cache, _rows(dx), _rows(total), shares)
    da, db = shares.sum(0)
    return dx, total, da, db


def _rows(x: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(x).reshape(-1, x.shape[-1])


def _like(x: np.ndarray) -> np.ndarray:
    return empty(x.shape, x.dtype, like=x)


def _factors(x: np.ndarray) -> np.ndarray:
    return empty((*x.shape[:-1], 1), x.dtype, like=x)


@njit(cache=True, fastmath=_SUMS)
def normalise(x, n, eps, y, rstd):  # type: ignore[no-untyped-def]
    total = x[n, 0] * x[n, 0]
    for c in range(1, x.shape[1]):
        total += x[n, c] * x[n, c]
    r = x.dtype.type(1) / np.sqrt(total / x.dtype.type(x.shape[1]) + eps)  # a plain 1 would make it float64
    rstd[n, 0] = r
    for c in range(x.shape[1]):
        y[n, c] = x[n, c] * r


@njit(cache=True, fastmath=_SUMS)
def _mean_product(x, y, n):  # type: ignore[no-untyped-def]
    total = x[n, 0] * y[n, 0]
    for c in range(1, x.shape[1]):
        total += x[n, c] * y[n, c]
    return total / x.dtype.type(x.shape[1])


@njit(cache=True, fastmath=_SUMS)
def _derive(dy, y, n, rstd, dx):  # type: ignore[no-untyped-def]
    mean = _mean_product(dy, y, n)
    for c in range(dy.shape[1]):
        dx[n, c] = rstd[n, 0] * (dy[n, c] - y[n, c] * mean)


@njit(cache=True)
def _forward(x, eps, y, rstd):  # type: ignore[no-untyped-def]
    for n in range(x.shape[0]):
        normalise(x, n, eps, y, rstd)


@njit(cache=True, parallel=True)
def _shared_forward(x, eps, y, rstd):  # type: ignore[no-untyped-def]
    for n in prange(x.shape[0]):
        normalise(x, n, eps, y, rstd)


@njit(cache=True)
def _backward(dy, y, rstd, dx):  # type: ignore[no-untyped-def]
    for n in range(dy.shape[0]):
        _derive(dy, y, n, rstd, dx)


@njit(cache=True, parallel=True)
def _shared_backward(dy, y, rstd, dx):  # type: ignore[no-untyped-def]
    for n in prange(dy.shape[0]):
        _derive(dy, y, n, rstd, dx)


@shared
@njit(cache=True, parallel=True)
def _add_forward(x, y, eps, z, normed, rstd):  # type: ignore[no-untyped-def]
    for n in prange(x.shape[0]):
        for c in range(x.shape[1]):
            z[n, c] = x[n, c] + y[n, c]
        normalise(z, n, eps, normed, rstd)


@shared
@njit(cache=True, parallel=True, fastmath=_SUMS)
def _add_backward(dz, dn, normed, rstd, dx):  # type: ignore[no-untyped-def]
    for n in prange(dz.shape[0]):
        mean = _mean_product(dn, normed, n)
        for c in range(dz.shape[1]):
            dx[n, c] = dz[n, c] + rstd[n, 0] * (dn[n, c] - normed[n, c] * mean)


@shared
@njit(cache=True, parallel=True)
def _mix_forward(x, x0, a, b, eps, mixed, normed, rstd):  # type: ignore[no-untyped-def]
    for n in prange(x.shape[0]):
        for c in range(x.shape[1]):
            mixed[n, c] = a * x[n, c] + b * x0[n, c]
        normalise(mixed, n, eps, normed, rstd)


@shared
@njit(cache=True, parallel=True)
def _mix_again(x, x0, a, b, rstd, normed):  # type: ignore[no-untyped-def]
    for n in prange(x.shape[0]):
        for c in range(x.shape[1]):
            normed[n, c] = (a * x[n, c] + b * x0[n, c]) * rstd[n, 0]


@shared
@njit(cache=True, parallel=True, fastmath=_SUMS)
def _mix_backward(dm, dn, dx0, x, x0, a, b, rstd, dx, total, shares):  # type: ignore[no-untyped-def]
    for n in prange(x.shape[0]):
        zero, r = x.dtype.type(0), rstd[n, 0]
        mean, da, db = zero, zero, zero
        for c in range(x.shape[1]):
            normed = (a * x[n, c] + b * x0[n, c]) * r
            dx[n, c] = normed
            mean += dn[n, c] * normed
        mean /= x.dtype.type(x.shape[1])
        for c in range(x.shape[1]):
            d = dm[n, c] + r * (dn[n, c] - dx[n, c] * mean)
            da += d * x[n, c]
            db += d * x0[n, c]
            dx[n, c] = a * d
            total[n, c] = dx0[n, c] + b * d
        shares[n, 0], shares[n, 1] = da, db
