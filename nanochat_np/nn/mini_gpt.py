"""Mini-GPT: a small pre-norm transformer with learned positions, ReLU² and no biases.

x = wte[idx] + wpe[position]                  (x = rms_norm(x) with input_rmsnorm)
x = x + wo · attention(rms_norm(x))           in each block
x = x + fc2 · relu²(fc1 · rms_norm(x))
logits = x Pᵀ,   P = wte when tied, else lm_head
"""

from typing import Any

import numpy as np

from nanochat_np.backend.arrays import Array
from nanochat_np.nn.model import ModelConfig, Shapes, Weights

MLP_RATIO = 4


def shapes(config: ModelConfig) -> Shapes:
    """wte (V, C), wpe (T, C), lm_head (V, C) when untied; per block wq, wk, wv, wo (C, C), fc1 (4C, C), fc2 (C, 4C)."""
    width, vocab_size = config.n_embd, config.vocab_size
    named: Shapes = {"wte": (vocab_size, width), "wpe": (config.block_size, width)}
    if not config.tie_lm_head:
        named["lm_head"] = (vocab_size, width)
    for layer in range(config.n_layer):
        named |= {f"h.{layer}.{name}": (width, width) for name in ("wq", "wk", "wv", "wo")}
        named |= {f"h.{layer}.fc1": (MLP_RATIO * width, width), f"h.{layer}.fc2": (width, MLP_RATIO * width)}
    return named


def initial(config: ModelConfig, rng: np.random.Generator) -> dict[str, np.ndarray]:
    """Normal, standard deviation 0.1 for embeddings, 0.02 for an untied head, 1/√C for the rest; wo and fc2 are 0.

    Every block so starts as the identity, and the first loss is close to ln V.
    """
    std = {"wte": 0.1, "wpe": 0.1, "lm_head": 0.02}

    def draw(name: str, shape: tuple[int, ...]) -> np.ndarray:
        if name.endswith((".wo", ".fc2")):
            return np.zeros(shape)
        return std.get(name, config.n_embd**-0.5) * rng.standard_normal(shape)

    return {name: draw(name, shape) for name, shape in shapes(config).items()}


def logits(ops: Any, w: Weights, config: ModelConfig, idx: Array, kv: Any = None) -> tuple[Array, Any]:
    """idx (B, T) -> logits (B, T, V).

    With ``kv`` (`infer.kv_cache.KVCache`) the T tokens continue those it holds: only their positions are computed, and
    their keys and values are added to it.
    """
    start = kv.length if kv is not None else 0
    x, embedding_cache = ops.embedding(w["wte"], idx)
    x, _ = ops.add(x, w["wpe"][start : start + idx.shape[1]])
    norm_cache = None
    if config.input_rmsnorm:
        x, norm_cache = ops.rms_norm(x)
    block_caches = []
    for layer in range(config.n_layer):
        x, attention_cache = _attention(ops, w, config, layer, x, kv)
        x, mlp_cache = _mlp(ops, w, layer, x)
        block_caches.append((attention_cache, mlp_cache))
    z, head_cache = ops.linear(x, w["wte" if config.tie_lm_head else "lm_head"])
    return z, (config, embedding_cache, norm_cache, block_caches, head_cache)


def loss(ops: Any, w: Weights, config: ModelConfig, idx: Array, targets: Array) -> tuple[Array, Any]:
    """Mean cross-entropy over all positions of all windows."""
    z, cache = logits(ops, w, config, idx)
    mean, loss_cache = ops.softmax_cross_entropy(z, targets)
    return mean, (cache, loss_cache)


def backward(ops: Any, cache: Any, grads: Weights) -> None:
    """The forward's steps in reverse: loss → head → blocks, last first → norm → positions → embedding."""
    (config, embedding_cache, norm_cache, block_caches, head_cache), loss_cache = cache
    dz = ops.softmax_cross_entropy_backward(1.0, loss_cache)
    dx, dhead = ops.linear_backward(dz, head_cache)
    grads["wte" if config.tie_lm_head else "lm_head"] += dhead
    for layer in reversed(range(config.n_layer)):
        attention_cache, mlp_cache = block_caches[layer]
        dx = _mlp_backward(ops, layer, dx, mlp_cache, grads)
        dx = _attention_backward(ops, config, layer, dx, attention_cache, grads)
    if config.input_rmsnorm:
        dx = ops.rms_norm_backward(dx, norm_cache)
    grads["wpe"][: dx.shape[1]] += dx.sum(0)  # one row of positions served the whole batch
    grads["wte"] += ops.embedding_backward(dx, embedding_cache)


def _attention(ops: Any, w: Weights, config: ModelConfig, layer: int, x: Array, kv: Any) -> tuple[Array, Any]:
    """x (B, T, C) -> x + wo · attention(rms_norm(x))."""
    a, norm_cache = ops.rms_norm(x)
    projections = [ops.linear(a, w[f"h.{layer}.{name}"]) for name in ("wq", "wk", "wv")]
    q, k, v = (ops.split_heads(y, config.n_head) for y, _ in projections)
    if kv is not None:
        k, v = kv.append(layer, k, v)
    o, attention_cache = ops.causal_attention(q, k, v)
    y, out_cache = ops.linear(ops.merge_heads(o), w[f"h.{layer}.wo"])
    y, _ = ops.add(y, x)
    return y, (norm_cache, [cache for _, cache in projections], attention_cache, out_cache)


def _attention_backward(ops: Any, config: ModelConfig, layer: int, dy: Array, cache: Any, grads: Weights) -> Array:
    """dy (B, T, C) -> dx; dx = dy (the residual) + what came through the attention."""
    norm_cache, projection_caches, attention_cache, out_cache = cache
    dy, dx = ops.add_backward(dy, None)
    do, grad = ops.linear_backward(dy, out_cache)
    grads[f"h.{layer}.wo"] += grad
    dqkv = ops.causal_attention_backward(ops.split_heads(do, config.n_head), attention_cache)
    da = 0
    for name, d, projection_cache in zip(("wq", "wk", "wv"), dqkv, projection_caches, strict=True):
        da_part, grad = ops.linear_backward(ops.merge_heads(d), projection_cache)
        grads[f"h.{layer}.{name}"] += grad
        da = da + da_part
    return dx + ops.rms_norm_backward(da, norm_cache)


def _mlp(ops: Any, w: Weights, layer: int, x: Array) -> tuple[Array, Any]:
    """x (B, T, C) -> x + fc2 · relu²(fc1 · rms_norm(x))."""
    m, norm_cache = ops.rms_norm(x)
    h, fc1_cache = ops.linear(m, w[f"h.{layer}.fc1"])  # (B, T, 4C)
    a, activation_cache = ops.relu_squared(h)
    y, fc2_cache = ops.linear(a, w[f"h.{layer}.fc2"])
    y, _ = ops.add(y, x)
    return y, (norm_cache, fc1_cache, activation_cache, fc2_cache)


def _mlp_backward(ops: Any, layer: int, dy: Array, cache: Any, grads: Weights) -> Array:
    """dy (B, T, C) -> dx; dx = dy (the residual) + what came through the MLP."""
    norm_cache, fc1_cache, activation_cache, fc2_cache = cache
    dy, dx = ops.add_backward(dy, None)
    da, grad = ops.linear_backward(dy, fc2_cache)
    grads[f"h.{layer}.fc2"] += grad
    dh = ops.relu_squared_backward(da, activation_cache)
    dm, grad = ops.linear_backward(dh, fc1_cache)
    grads[f"h.{layer}.fc1"] += grad
    return dx + ops.rms_norm_backward(dm, norm_cache)
