"""Bigram model: the next token depends on the last one alone.

    h = E[c]   (h = rms_norm(h) with input_rmsnorm);   logits = h Pᵀ,   P = E when tied, else W

E and W are (V, V): the embedding is as wide as the vocabulary, so that an untied model can hold any table of bigrams.
"""

from typing import Any

import numpy as np

from nanochat_np.backend.arrays import Array, array_module
from nanochat_np.nn.model import ModelConfig, Shapes, Weights

INIT_STD = 0.02


def shapes(config: ModelConfig) -> Shapes:
    """wte (V, V), and lm_head (V, V) when untied."""
    square = (config.vocab_size, config.vocab_size)
    return {"wte": square} if config.tie_lm_head else {"wte": square, "lm_head": square}


def initial(config: ModelConfig, rng: np.random.Generator) -> dict[str, np.ndarray]:
    """Normal, standard deviation 0.02."""
    return {name: INIT_STD * rng.standard_normal(shape) for name, shape in shapes(config).items()}


def logits(ops: Any, w: Weights, config: ModelConfig, idx: Array, kv: Any = None) -> tuple[Array, Any]:
    """idx (...) -> logits (..., V).  There is nothing to keep in ``kv``."""
    h, embedding_cache = ops.embedding(w["wte"], idx)
    norm_cache = None
    if config.input_rmsnorm:
        h, norm_cache = ops.rms_norm(h)
    z, head_cache = ops.linear(h, w["wte" if config.tie_lm_head else "lm_head"])
    return z, (config, embedding_cache, norm_cache, head_cache)


def loss(ops: Any, w: Weights, config: ModelConfig, idx: Array, targets: Array) -> tuple[Array, Any]:
    """Mean over all pairs (idx, target).

    Pairs with the same context share their logits.  Where there are more pairs than contexts the network therefore runs
    once a context, and the loss weighs each target by how often it occurs: the same mean for V rows of work, however
    many pairs there are.
    """
    vocab_size = config.vocab_size
    if idx.size <= vocab_size:
        z, cache = logits(ops, w, config, idx)
        mean, loss_cache = ops.softmax_cross_entropy(z, targets)
        return mean, (cache, "softmax_cross_entropy_backward", loss_cache)
    xp = array_module(idx)
    pairs = idx.reshape(-1).astype(xp.int64) * vocab_size + targets.reshape(-1)
    counts = xp.bincount(pairs, minlength=vocab_size**2).reshape(vocab_size, vocab_size)
    z, cache = logits(ops, w, config, xp.arange(vocab_size))
    mean, loss_cache = ops.cross_entropy_of_counts(z, counts.astype(z.dtype))
    return mean, (cache, "cross_entropy_of_counts_backward", loss_cache)


def backward(ops: Any, cache: Any, grads: Weights) -> None:
    """loss → head → norm → embedding.  A tied embedding receives both of its gradients."""
    (config, embedding_cache, norm_cache, head_cache), loss_backward, loss_cache = cache
    dz = getattr(ops, loss_backward)(1.0, loss_cache)
    dh, dhead = ops.linear_backward(dz, head_cache)
    grads["wte" if config.tie_lm_head else "lm_head"] += dhead
    if config.input_rmsnorm:
        dh = ops.rms_norm_backward(dh, norm_cache)
    grads["wte"] += ops.embedding_backward(dh, embedding_cache)
