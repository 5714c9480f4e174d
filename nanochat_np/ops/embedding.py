"""Embedding: rows of a table chosen by token."""

from nanochat_np.backend.arrays import Array, array_module
from nanochat_np.kernels import fused_on_cpu


def embedding(w: Array, idx: Array) -> tuple[Array, tuple[Array, int]]:
    """y[...] = w[idx[...]].

    w (V, C) float; idx (...) integer in [0, V).  Returns (y, cache): y (..., C) in w.dtype; cache = (idx, V).
    """
    return w[idx], (idx, w.shape[0])


@fused_on_cpu("embedding")
def embedding_backward(dy: Array, cache: tuple[Array, int]) -> Array:
    """dw[v] = Σ dy[i] over all i with idx[i] = v.

    dy (..., C); returns dw (V, C), newly allocated.  Written as onehot(idx)ᵀ dy: a product adds in a fixed order, where
    a GPU's scatter-add would not, and so equal seeds give equal weights.  It takes N·V numbers of memory, which is
    little for an alphabet.
    """
    idx, vocab_size = cache
    xp = array_module(dy)
    one_hot = (idx.reshape(-1, 1) == xp.arange(vocab_size)).astype(dy.dtype)  # (N, V)
    return one_hot.T @ dy.reshape(-1, dy.shape[-1])
