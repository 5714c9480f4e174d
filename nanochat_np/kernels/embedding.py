"""Rows of a table in one pass, and their gradient by adding rows in order (reference: `ops.embedding`).

Threads that add rows to a table share its columns and not the rows to add: so no two of them write one number, and
each number is the same sum in the same order, however many threads there are.
"""

import numpy as np
from numba import prange

from nanochat_np.backend import empty
from nanochat_np.backend.jit import njit
from nanochat_np.kernels.norm import BLOCK
from nanochat_np.kernels.threads import shared

_COLUMNS = 64  # that a thread takes at a time
_SUMS = {"reassoc", "contract"}


def embedding_backward(dy: np.ndarray, cache: tuple[np.ndarray, int]) -> np.ndarray:
    """As `ops.embedding.embedding_backward`, without the N·V one-hot array."""
    idx, vocab_size = cache
    dw = np.zeros((vocab_size, dy.shape[-1]), dy.dtype)
    _add_rows(np.ascontiguousarray(dy).reshape(-1, dy.shape[-1]), _flat(idx), dw)
    return dw


def add_embedding_backward(dw: np.ndarray, dy: np.ndarray, idx: np.ndarray) -> None:
    """As `ops.embedding.add_embedding_backward`."""
    _share_rows(np.ascontiguousarray(dy).reshape(-1, dy.shape[-1]), _flat(idx), dw)


def embedding_norm(
    w: np.ndarray, idx: np.ndarray, eps: float = 1e-5
) -> tuple[np.ndarray, tuple[np.ndarray, np.ndarray]]:
    """As `ops.embedding.embedding_norm`."""
    y, rstd = empty((*idx.shape, w.shape[1]), w.dtype, like=w), empty((*idx.shape, 1), w.dtype, like=w)
    _norm_rows(y.reshape(-1, w.shape[1]), rstd.reshape(-1, 1), np.ascontiguousarray(w), _flat(idx), w.dtype.type(eps))
    return y, (y, rstd)


def gated_embedding(
    x: np.ndarray, g: np.ndarray, w: np.ndarray, idx: np.ndarray
) -> tuple[np.ndarray, tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """As `ops.embedding.gated_embedding`."""
    y = empty(x.shape, x.dtype, like=x)
    _add_gated(_heads(x), _gates(g), _heads(w, x), _flat(idx), _heads(y))
    return y, (g, w, idx)


def gated_embedding_backward(
    dw: np.ndarray,
    dy: np.ndarray,
    cache: tuple[np.ndarray, np.ndarray, np.ndarray],
    places: np.ndarray | None = None,
) -> np.ndarray:
    """As `ops.embedding.gated_embedding_backward`."""
    g, w, idx = cache
    dg = empty(g.shape, g.dtype, like=g)
    _gate_gradients(_heads(dy), _heads(w, dy), _flat(idx), _gates(dg))
    _share_gated_rows(
        _heads(dy), _gates(g), _flat(idx if places is None else places), dw.reshape(len(dw), *dy.shape[-2:], copy=False)
    )
    return dg


def _flat(idx: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(idx).reshape(-1)


def _heads(x: np.ndarray, like: np.ndarray | None = None) -> np.ndarray:
    """(N, K, D), with the heads of ``like`` where x has them merged."""
    return np.ascontiguousarray(x).reshape(-1, *(x if like is None else like).shape[-2:])


def _gates(g: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(g).reshape(-1, g.shape[-1])


@njit(cache=True)
def _add_rows(dy, idx, dw):  # type: ignore[no-untyped-def]
    for n in range(idx.shape[0]):
        for c in range(dy.shape[1]):
            dw[idx[n], c] += dy[n, c]


@njit(cache=True)
def _add_scaled(total, x, scale):  # type: ignore[no-untyped-def]
    for i in range(x.size):
        total[i] += scale * x[i]


@shared
@njit(cache=True, parallel=True)
def _share_rows(dy, idx, dw):  # type: ignore[no-untyped-def]
    for block in prange((dy.shape[1] + _COLUMNS - 1) // _COLUMNS):
        part = slice(block * _COLUMNS, (block + 1) * _COLUMNS)
        for n in range(idx.shape[0]):
            _add_scaled(dw[idx[n], part], dy[n, part], dy.dtype.type(1))


@njit(cache=True, fastmath=_SUMS)
def _normalise_rows(w, idx, eps, y, rstd):  # type: ignore[no-untyped-def]
    one = w.dtype.type(1)
    for n in range(idx.size):
        row, total = idx[n], w.dtype.type(0)
        for c in range(w.shape[1]):
            total += w[row, c] * w[row, c]
        r = one / np.sqrt(total / w.dtype.type(w.shape[1]) + eps)
        rstd[n, 0] = r
        for c in range(w.shape[1]):
            y[n, c] = w[row, c] * r


@shared
@njit(cache=True, parallel=True)
def _norm_rows(y, rstd, w, idx, eps):  # type: ignore[no-untyped-def]
    for block in prange((idx.size + BLOCK - 1) // BLOCK):
        part = slice(block * BLOCK, (block + 1) * BLOCK)
        _normalise_rows(w, idx[part], eps, y[part], rstd[part])


@shared
@njit(cache=True, parallel=True)
def _add_gated(x, g, w, idx, y):  # type: ignore[no-untyped-def]
    for n in prange(idx.shape[0]):
        row = idx[n]
        for k in range(x.shape[1]):
            for d in range(x.shape[2]):
                y[n, k, d] = x[n, k, d] + g[n, k] * w[row, k, d]


@shared
@njit(cache=True, parallel=True, fastmath=_SUMS)
def _gate_gradients(dy, w, idx, dg):  # type: ignore[no-untyped-def]
    for n in prange(idx.shape[0]):
        row = idx[n]
        for k in range(dy.shape[1]):
            total = dy.dtype.type(0)
            for d in range(dy.shape[2]):
                total += dy[n, k, d] * w[row, k, d]
            dg[n, k] = total


@shared
@njit(cache=True, parallel=True)
def _share_gated_rows(dy, g, idx, dw):  # type: ignore[no-untyped-def]
    blocks = (dy.shape[2] + _COLUMNS - 1) // _COLUMNS  # of a head
    for block in prange(dy.shape[1] * blocks):
        k, start = block // blocks, block % blocks * _COLUMNS
        part = slice(start, start + _COLUMNS)
        for n in range(idx.shape[0]):
            _add_scaled(dw[idx[n], k, part], dy[n, k, part], g[n, k])
