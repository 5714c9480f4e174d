"""RMS normalisation in one pass over memory a row (reference: `ops.norm`)."""

import numpy as np
from numba import prange

from nanochat_np.backend import empty, pool
from nanochat_np.backend.jit import njit
from nanochat_np.kernels.threads import SHARED, shared

# Sums may be re-associated so that they fill vector registers; nothing else is relaxed, NaN and infinity stay.
_SUMS = {"reassoc", "contract"}
BLOCK = 32  # rows that a thread takes at a time


def rms_norm(x: np.ndarray, eps: float = 1e-5) -> tuple[np.ndarray, tuple[np.ndarray, np.ndarray]]:
    """As `ops.norm.rms_norm`."""
    rows = _rows(x)
    y, rstd = new(rows), np.empty((len(rows), 1), x.dtype)
    (normalise if x.size < SHARED else _normalise_in_blocks)(rows, x.dtype.type(eps), y, rstd)
    y = y.reshape(x.shape)
    return y, (y, rstd.reshape(*x.shape[:-1], 1))


def rms_norm_backward(dy: np.ndarray, cache: tuple[np.ndarray, np.ndarray]) -> np.ndarray:
    """As `ops.norm.rms_norm_backward`."""
    y, rstd = cache
    rows = _rows(dy)
    dx = new(rows)
    (_backward if dy.size < SHARED else _backward_in_blocks)(rows, _rows(y), rstd.reshape(-1, 1), dx)
    return dx.reshape(dy.shape)


def add_norm(
    x: np.ndarray, y: np.ndarray, eps: float = 1e-5
) -> tuple[np.ndarray, np.ndarray, tuple[np.ndarray, np.ndarray]]:
    """As `ops.norm.add_norm`."""
    z, n, rstd = new(x), new(x), _factors(x)
    _add_forward(_rows(x), _rows(y), x.dtype.type(eps), _rows(z), _rows(n), _rows(rstd))
    return z, n, (n, rstd)


def add_norm_backward(dz: np.ndarray, dn: np.ndarray, cache: tuple[np.ndarray, np.ndarray]) -> np.ndarray:
    """As `ops.norm.add_norm_backward`."""
    n, rstd = cache
    dx = new(dz)
    _add_backward(_rows(dz), _rows(dn), _rows(n), _rows(rstd), _rows(dx))
    return dx


def mix_norm(
    x: np.ndarray, x0: np.ndarray, a: np.floating, b: np.floating, eps: float = 1e-5
) -> tuple[np.ndarray, np.ndarray, tuple[np.ndarray, np.ndarray, np.floating, np.floating, np.ndarray]]:
    """As `ops.norm.mix_norm`."""
    m, n, rstd, real = new(x), new(x), _factors(x), x.dtype.type
    _mix_forward(_rows(x), _rows(x0), real(a), real(b), real(eps), _rows(m), _rows(n), _rows(rstd))
    return m, n, (x, x0, a, b, rstd)


def mix_norm_again(cache: tuple[np.ndarray, np.ndarray, np.floating, np.floating, np.ndarray]) -> np.ndarray:
    """As `ops.norm.mix_norm_again`."""
    x, x0, a, b, rstd = cache
    n, real = new(x), x.dtype.type
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
    dx, total, real = new(x), new(x), x.dtype.type
    shares = np.empty((rstd.size, 2), x.dtype)
    of_cache = _rows(x), _rows(x0), real(a), real(b), _rows(rstd)
    _mix_backward(_rows(dm), _rows(dn), _rows(dx0), *of_cache, _rows(dx), _rows(total), shares)
    # In double precision: NumPy adds up along a first axis one by one, and Adam makes large steps of what noise is left
    # where these sums nearly cancel.
    da, db = shares.sum(0, dtype=np.float64).astype(x.dtype)
    return dx, total, da, db


def new(x: np.ndarray) -> np.ndarray:
    """An array like ``x``, which is contiguous; by the shortest way where it is small."""
    return np.empty(x.shape, x.dtype) if x.nbytes < pool.SMALLEST else empty(x.shape, x.dtype, like=x)


def _rows(x: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(x).reshape(-1, x.shape[-1])


def _factors(x: np.ndarray) -> np.ndarray:
    return empty((*x.shape[:-1], 1), x.dtype, like=x)


@njit(cache=True, fastmath=_SUMS)
def normalise(x, eps, y, rstd):  # type: ignore[no-untyped-def]
    """Rows.  (y is not x: a loop over one array that it writes and reads as two would not fill vector registers.)"""
    one, zero = x.dtype.type(1), x.dtype.type(0)  # plain numbers would make it float64
    for n in range(x.shape[0]):
        total = zero
        for c in range(x.shape[1]):
            total += x[n, c] * x[n, c]
        r = one / np.sqrt(total / x.dtype.type(x.shape[1]) + eps)
        rstd[n, 0] = r
        for c in range(x.shape[1]):
            y[n, c] = x[n, c] * r


@njit(cache=True, fastmath=_SUMS)
def _backward(dy, y, rstd, dx):  # type: ignore[no-untyped-def]
    for n in range(dy.shape[0]):
        total, r = dy.dtype.type(0), rstd[n, 0]
        for c in range(dy.shape[1]):
            total += dy[n, c] * y[n, c]
        mean = total / dy.dtype.type(dy.shape[1])
        for c in range(dy.shape[1]):
            dx[n, c] = r * (dy[n, c] - y[n, c] * mean)


@njit(cache=True, parallel=True)
def _normalise_in_blocks(x, eps, y, rstd):  # type: ignore[no-untyped-def]
    for block in prange((x.shape[0] + BLOCK - 1) // BLOCK):
        part = slice(block * BLOCK, (block + 1) * BLOCK)
        normalise(x[part], eps, y[part], rstd[part])


@njit(cache=True, parallel=True)
def _backward_in_blocks(dy, y, rstd, dx):  # type: ignore[no-untyped-def]
    for block in prange((dy.shape[0] + BLOCK - 1) // BLOCK):
        part = slice(block * BLOCK, (block + 1) * BLOCK)
        _backward(dy[part], y[part], rstd[part], dx[part])


@shared
@njit(cache=True, parallel=True)
def _add_forward(x, y, eps, z, normed, rstd):  # type: ignore[no-untyped-def]
    for block in prange((x.shape[0] + BLOCK - 1) // BLOCK):
        part = slice(block * BLOCK, (block + 1) * BLOCK)
        _add_rows(x[part], y[part], z[part])
        normalise(z[part], eps, normed[part], rstd[part])


@njit(cache=True)
def _add_rows(x, y, z):  # type: ignore[no-untyped-def]
    for n in range(x.shape[0]):
        for c in range(x.shape[1]):
            z[n, c] = x[n, c] + y[n, c]


@njit(cache=True, fastmath=_SUMS)
def _backward_and_sum(dz, dn, normed, rstd, dx):  # type: ignore[no-untyped-def]
    for n in range(dz.shape[0]):
        total, r = dz.dtype.type(0), rstd[n, 0]
        for c in range(dz.shape[1]):
            total += dn[n, c] * normed[n, c]
        mean = total / dz.dtype.type(dz.shape[1])
        for c in range(dz.shape[1]):
            dx[n, c] = dz[n, c] + r * (dn[n, c] - normed[n, c] * mean)


@shared
@njit(cache=True, parallel=True)
def _add_backward(dz, dn, normed, rstd, dx):  # type: ignore[no-untyped-def]
    for block in prange((dz.shape[0] + BLOCK - 1) // BLOCK):
        part = slice(block * BLOCK, (block + 1) * BLOCK)
        _backward_and_sum(dz[part], dn[part], normed[part], rstd[part], dx[part])


@njit(cache=True, fastmath=_SUMS)
def _mix(x, x0, a, b, mixed):  # type: ignore[no-untyped-def]
    for n in range(x.shape[0]):
        for c in range(x.shape[1]):
            mixed[n, c] = a * x[n, c] + b * x0[n, c]


@shared
@njit(cache=True, parallel=True)
def _mix_forward(x, x0, a, b, eps, mixed, normed, rstd):  # type: ignore[no-untyped-def]
    for block in prange((x.shape[0] + BLOCK - 1) // BLOCK):
        part = slice(block * BLOCK, (block + 1) * BLOCK)
        _mix(x[part], x0[part], a, b, mixed[part])
        normalise(mixed[part], eps, normed[part], rstd[part])


@shared
@njit(cache=True, parallel=True, fastmath=_SUMS)
def _mix_again(x, x0, a, b, rstd, normed):  # type: ignore[no-untyped-def]
    for n in prange(x.shape[0]):
        r = rstd[n, 0]
        for c in range(x.shape[1]):
            normed[n, c] = (a * x[n, c] + b * x0[n, c]) * r


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
