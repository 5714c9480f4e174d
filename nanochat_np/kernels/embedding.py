"""Embedding gradient by adding rows in order (reference: `ops.embedding`)."""

import numpy as np

from nanochat_np.backend.jit import njit


def embedding_backward(dy: np.ndarray, cache: tuple[np.ndarray, int]) -> np.ndarray:
    """As `ops.embedding.embedding_backward`, without the N·V one-hot array."""
    idx, vocab_size = cache
    dw = np.zeros((vocab_size, dy.shape[-1]), dy.dtype)
    _add_rows(np.ascontiguousarray(dy).reshape(-1, dy.shape[-1]), np.ascontiguousarray(idx).reshape(-1), dw)
    return dw


@njit(cache=True)
def _add_rows(dy, idx, dw):  # type: ignore[no-untyped-def]
    for n in range(idx.shape[0]):
        for c in range(dy.shape[1]):
            dw[idx[n], c] += dy[n, c]
