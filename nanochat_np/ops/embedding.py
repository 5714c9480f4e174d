"""Embedding: rows of a table chosen by token; alone, normalised, or through a gate into something else."""

from nanochat_np.backend.arrays import Array, array_module
from nanochat_np.kernels import fused_on_cpu
from nanochat_np.ops.norm import EPS, rms_norm


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


@fused_on_cpu("embedding")
def add_embedding_backward(dw: Array, dy: Array, idx: Array) -> None:
    """dw[idx[i]] += dy[i] for all i, in place: `embedding_backward` where a large table has its gradient already.

    dw (V, C), dy (..., C), idx (...).
    """
    dw += embedding_backward(dy, (idx, dw.shape[0]))


@fused_on_cpu("embedding")
def embedding_norm(w: Array, idx: Array, eps: float = EPS) -> tuple[Array, tuple[Array, Array]]:
    """y = rms_norm(w[idx]).

    w (V, C) float; idx (...) integer in [0, V).  Returns (y, cache): y (..., C); cache = (y, rstd), that of `rms_norm`,
    whose backward gives the gradient of the rows.
    """
    return rms_norm(w[idx], eps)


@fused_on_cpu("embedding")
def gated_embedding(x: Array, g: Array, w: Array, idx: Array) -> tuple[Array, tuple[Array, Array, Array]]:
    """y = x + g ∘ w[idx], a gate g for each head.

    x (B, T, K, D), g (B, T, K), w (V, K·D) float; idx (B, T).  Returns (y, cache): y (B, T, K, D); cache = (g, w, idx),
    without the rows, which are read from the table again.
    """
    return x + g[..., None] * w[idx].reshape(x.shape), (g, w, idx)


@fused_on_cpu("embedding")
def gated_embedding_backward(
    dw: Array, dy: Array, cache: tuple[Array, Array, Array], places: Array | None = None
) -> Array:
    """dg = Σ_d dy · w[idx];   dw[places[i]] += g ∘ dy[i], in place;   dx is dy.

    dw (U, K·D), dy (B, T, K, D), places (B, T) integer in [0, U): where dw has rows for some tokens alone, else idx.
    Returns dg (B, T, K), newly allocated.
    """
    g, w, idx = cache
    add_embedding_backward(dw, (g[..., None] * dy).reshape(*idx.shape, -1), idx if places is None else places)
    return (dy * w[idx].reshape(dy.shape)).sum(-1)
