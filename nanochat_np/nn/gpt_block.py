"""One layer of the nanochat GPT: attention and MLP, each on a normalised copy of x and added to it.

What the backward needs is kept once, and not what one cheap pass over memory makes again: of the first norm the input
and not the output, of a value embedding the tokens and not the rows, of the MLP the hidden numbers before the square.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from nanochat_np.backend.arrays import Array
from nanochat_np.nn.gpt_config import VALUE_GATE_SCALE, GPTConfig
from nanochat_np.nn.model import Weights
from nanochat_np.ops.activation import relu_squared, relu_squared_again, relu_squared_backward
from nanochat_np.ops.attention import merge_heads, split_heads
from nanochat_np.ops.blockwise_attention import blockwise_attention, blockwise_attention_backward
from nanochat_np.ops.embedding import gated_embedding, gated_embedding_backward
from nanochat_np.ops.gate import sigmoid_gate, sigmoid_gate_backward
from nanochat_np.ops.linear import add_linear_backward, linear
from nanochat_np.ops.matmul import packed
from nanochat_np.ops.norm import add_norm, add_norm_backward, mix_norm, mix_norm_again, mix_norm_backward, rms_norm
from nanochat_np.ops.residual import add_to
from nanochat_np.ops.rotary import rotary_norm, rotary_norm_backward

Attend = Callable[[Array, Array, Array, int | None], tuple[Array, Any]]


@dataclass(frozen=True)
class Layer:
    """What a layer works with besides x: idx (B, T) chooses the value embeddings; cos, sin (T, D/2).

    ``attend`` is `blockwise_attention`, or what takes its place where earlier positions are kept elsewhere.
    """

    w: Weights
    config: GPTConfig
    number: int
    window: int
    idx: Array
    cos: Array
    sin: Array
    attend: Attend = blockwise_attention

    def name(self, part: str) -> str:
        """Full name of one of the layer's parameters."""
        return f"transformer.h.{self.number}.{part}.weight"

    def weight(self, part: str) -> Array:
        return self.w[self.name(part)]


def block(layer: Layer, x: Array, x0: Array) -> tuple[Array, Any]:
    """x (B, T, C) -> x + attention + MLP, x mixed with x0 (B, T, C) before in the current architecture."""
    config, i = layer.config, layer.number
    first_cache: Any
    if config.is_current:
        mix = layer.w["resid_lambdas"][i], layer.w["x0_lambdas"][i]
        x, n, first_cache = mix_norm(x, x0, *mix, config.norm_eps)
    else:
        n, first_cache = rms_norm(x, config.norm_eps)
    y, attention_cache = _attention(layer, n)
    x, n, second_cache = add_norm(x, y, config.norm_eps)
    y, mlp_cache = _mlp(layer, n)
    add_to(y, x)
    return y, (layer, first_cache, attention_cache, second_cache, mlp_cache)


def block_backward(dy: Array, dx0: Array, cache: Any, grads: Weights, places: Array) -> tuple[Array, Array]:
    """dy (B, T, C) -> dx, and dx0 with what this layer adds to it; adds the layer's gradients to ``grads``.

    ``places`` (B, T) are the rows that take the gradients of the tokens' value embeddings.
    """
    layer, first_cache, attention_cache, second_cache, mlp_cache = cache
    i, is_current = layer.number, layer.config.is_current
    dx = add_norm_backward(dy, _mlp_backward(dy, layer, mlp_cache, grads), second_cache)
    n = mix_norm_again(first_cache) if is_current else first_cache[0]
    dn = _attention_backward(dx, n, layer, attention_cache, grads, places)
    if not is_current:
        return add_norm_backward(dx, dn, first_cache), dx0
    dx, dx0, dresid, dmix = mix_norm_backward(dx, dn, dx0, first_cache)
    grads["resid_lambdas"][i] += dresid
    grads["x0_lambdas"][i] += dmix
    return dx, dx0


def _attention(layer: Layer, n: Array) -> tuple[Array, Any]:
    config, (batch, time, _) = layer.config, n.shape
    counts = {"attn.c_q": config.n_head, "attn.c_k": config.n_kv_head, "attn.c_v": config.n_kv_head}
    q, k, v = (
        linear(n, layer.weight(part))[0].reshape(batch, time, count, config.head_dim) for part, count in counts.items()
    )
    value_cache = None
    if config.has_value_embedding(layer.number):
        g, gate_cache = sigmoid_gate(n, layer.weight("attn.ve_gate"), VALUE_GATE_SCALE)  # (B, T, K)
        v, rows_cache = gated_embedding(v, g, layer.w[f"value_embeds.{layer.number}.weight"], layer.idx)
        value_cache = gate_cache, rows_cache
    q, q_cache = rotary_norm(q, layer.cos, layer.sin, config.qk_scale, config.norm_eps)
    k, k_cache = rotary_norm(k, layer.cos, layer.sin, config.qk_scale, config.norm_eps)
    q, k, v = (x.swapaxes(1, 2) for x in (q, k, v))
    o, attention_cache = layer.attend(q, k, v, layer.window)
    y, out_cache = linear(merge_heads(o), layer.weight("attn.c_proj"))
    return y, (value_cache, q_cache, k_cache, attention_cache, out_cache)


def _attention_backward(dy: Array, n: Array, layer: Layer, cache: Any, grads: Weights, places: Array) -> Array:
    """dn (B, T, C), from dy and the input n, which the cache does not hold."""
    value_cache, q_cache, k_cache, attention_cache, out_cache = cache
    do = add_linear_backward(grads[layer.name("attn.c_proj")], dy, out_cache)
    heads = blockwise_attention_backward(split_heads(do, layer.config.n_head), attention_cache)
    dq, dk, dv = (d.swapaxes(1, 2) for d in heads)  # (B, T, H or K, D)
    dq, dk = rotary_norm_backward(dq, q_cache), rotary_norm_backward(dk, k_cache)
    rows = packed(n.reshape(-1, n.shape[-1]))
    dn: Array = None
    for part, d in (("attn.c_q", dq), ("attn.c_k", dk), ("attn.c_v", dv)):
        dn = add_linear_backward(grads[layer.name(part)], d.reshape(*n.shape[:2], -1), (rows, layer.weight(part)), dn)
    if value_cache is not None:
        gate_cache, rows_cache = value_cache
        dg = gated_embedding_backward(grads[f"value_embeds.{layer.number}.weight"], dv, rows_cache, places)
        share, dw = sigmoid_gate_backward(dg, gate_cache)
        grads[layer.name("attn.ve_gate")] += dw
        dn[..., : share.shape[-1]] += share
    return dn


def _mlp(layer: Layer, n: Array) -> tuple[Array, Any]:
    u, fc_cache = linear(n, layer.weight("mlp.c_fc"))  # (B, T, 4C)
    a, activation_cache = relu_squared(u)
    del u
    y, _ = linear(a, layer.weight("mlp.c_proj"))
    return y, (fc_cache, activation_cache)


def _mlp_backward(dy: Array, layer: Layer, cache: Any, grads: Weights) -> Array:
    fc_cache, activation_cache = cache
    a = relu_squared_again(activation_cache)
    da = add_linear_backward(grads[layer.name("mlp.c_proj")], dy, (a, layer.weight("mlp.c_proj")))
    del a  # its memory is du's
    return add_linear_backward(grads[layer.name("mlp.c_fc")], relu_squared_backward(da, activation_cache), fc_cache)
