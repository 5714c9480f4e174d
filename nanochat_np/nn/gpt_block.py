"""One layer of the nanochat GPT: attention and MLP, each on a normalised copy of x and added to it."""

from typing import Any

from nanochat_np.backend.arrays import Array
from nanochat_np.nn.gpt_config import VALUE_GATE_SCALE, GPTConfig
from nanochat_np.nn.model import Weights
from nanochat_np.ops.activation import relu_squared, relu_squared_backward
from nanochat_np.ops.attention import merge_heads, split_heads
from nanochat_np.ops.blockwise_attention import blockwise_attention, blockwise_attention_backward
from nanochat_np.ops.embedding import embedding, embedding_backward
from nanochat_np.ops.gate import sigmoid_gate, sigmoid_gate_backward
from nanochat_np.ops.linear import linear, linear_backward
from nanochat_np.ops.norm import rms_norm, rms_norm_backward
from nanochat_np.ops.rotary import rotary, rotary_backward


def block(
    w: Weights, config: GPTConfig, layer: int, x: Array, idx: Array, window: int, cos: Array, sin: Array
) -> tuple[Array, Any]:
    """x (B, T, C) -> x + attention + MLP; idx (B, T) chooses the value embeddings; cos, sin (T, D/2)."""
    y, attention_cache = _attention(w, config, layer, x, idx, window, cos, sin)
    x = x + y
    y, mlp_cache = _mlp(w, config, layer, x)
    return x + y, (attention_cache, mlp_cache)


def block_backward(dy: Array, config: GPTConfig, layer: int, cache: Any, grads: Weights) -> Array:
    """dy (B, T, C) -> dx; adds the layer's gradients to ``grads``."""
    attention_cache, mlp_cache = cache
    dx = dy + _mlp_backward(dy, layer, mlp_cache, grads)
    return dx + _attention_backward(dx, config, layer, attention_cache, grads)


def _attention(
    w: Weights, config: GPTConfig, layer: int, x: Array, idx: Array, window: int, cos: Array, sin: Array
) -> tuple[Array, Any]:
    h = f"transformer.h.{layer}.attn"
    n, norm_cache = rms_norm(x, config.norm_eps)
    projections = [linear(n, w[f"{h}.{name}.weight"]) for name in ("c_q", "c_k", "c_v")]
    heads = (config.n_head, config.n_kv_head, config.n_kv_head)
    q, k, v = (split_heads(y, count) for (y, _), count in zip(projections, heads, strict=True))
    value_cache = None
    if config.has_value_embedding(layer):
        value, rows_cache = embedding(w[f"value_embeds.{layer}.weight"], idx)  # (B, T, K·D)
        gate, gate_cache = sigmoid_gate(n, w[f"{h}.ve_gate.weight"], VALUE_GATE_SCALE)  # (B, T, K)
        ve, g = split_heads(value, config.n_kv_head), gate.swapaxes(1, 2)[..., None]  # (B, K, T, D), (B, K, T, 1)
        v = v + g * ve
        value_cache = (ve, g, rows_cache, gate_cache)
    q, q_cache = _turned_and_normed(q, cos, sin, config)
    k, k_cache = _turned_and_normed(k, cos, sin, config)
    o, attention_cache = blockwise_attention(q, k, v, window)
    y, out_cache = linear(merge_heads(o), w[f"{h}.c_proj.weight"])
    return y, (
        norm_cache,
        [cache for _, cache in projections],
        value_cache,
        q_cache,
        k_cache,
        attention_cache,
        out_cache,
    )


def _attention_backward(dy: Array, config: GPTConfig, layer: int, cache: Any, grads: Weights) -> Array:
    h = f"transformer.h.{layer}.attn"
    norm_cache, projection_caches, value_cache, q_cache, k_cache, attention_cache, out_cache = cache
    do, grad = linear_backward(dy, out_cache)
    grads[f"{h}.c_proj.weight"] += grad
    dq, dk, dv = blockwise_attention_backward(split_heads(do, config.n_head), attention_cache)
    dq = _turned_and_normed_backward(dq, q_cache, config)
    dk = _turned_and_normed_backward(dk, k_cache, config)
    dn: Array = 0
    for name, d, projection_cache in zip(("c_q", "c_k", "c_v"), (dq, dk, dv), projection_caches, strict=True):
        part, grad = linear_backward(merge_heads(d), projection_cache)
        grads[f"{h}.{name}.weight"] += grad
        dn = dn + part
    if value_cache is not None:
        ve, g, rows_cache, gate_cache = value_cache
        grads[f"value_embeds.{layer}.weight"] += embedding_backward(merge_heads(g * dv), rows_cache)
        dgate = (dv * ve).sum(-1).swapaxes(1, 2)  # (B, T, K)
        dpart, grad = sigmoid_gate_backward(dgate, gate_cache)
        grads[f"{h}.ve_gate.weight"] += grad
        dn[..., : dpart.shape[-1]] += dpart
    return rms_norm_backward(dn, norm_cache)


def _turned_and_normed(x: Array, cos: Array, sin: Array, config: GPTConfig) -> tuple[Array, Any]:
    """qk_scale · rms(rope(x)) over the width of a head.   x (B, H, T, D)."""
    x, turn_cache = rotary(x, cos, sin)
    x, norm_cache = rms_norm(x, config.norm_eps)
    return x * x.dtype.type(config.qk_scale), (turn_cache, norm_cache)


def _turned_and_normed_backward(dy: Array, cache: Any, config: GPTConfig) -> Array:
    turn_cache, norm_cache = cache
    return rotary_backward(rms_norm_backward(dy * dy.dtype.type(config.qk_scale), norm_cache), turn_cache)


def _mlp(w: Weights, config: GPTConfig, layer: int, x: Array) -> tuple[Array, Any]:
    h = f"transformer.h.{layer}.mlp"
    n, norm_cache = rms_norm(x, config.norm_eps)
    u, fc_cache = linear(n, w[f"{h}.c_fc.weight"])  # (B, T, 4C)
    a, activation_cache = relu_squared(u)
    y, proj_cache = linear(a, w[f"{h}.c_proj.weight"])
    return y, (norm_cache, fc_cache, activation_cache, proj_cache)


def _mlp_backward(dy: Array, layer: int, cache: Any, grads: Weights) -> Array:
    h = f"transformer.h.{layer}.mlp"
    norm_cache, fc_cache, activation_cache, proj_cache = cache
    da, grad = linear_backward(dy, proj_cache)
    grads[f"{h}.c_proj.weight"] += grad
    dn, grad = linear_backward(relu_squared_backward(da, activation_cache), fc_cache)
    grads[f"{h}.c_fc.weight"] += grad
    return rms_norm_backward(dn, norm_cache)
