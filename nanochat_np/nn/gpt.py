"""The nanochat GPT, forward and backward.  Source: karpathy/nanochat at 92d63d4, gpt.py.

x = rms(wte[idx]);  x = smear(x);  x0 = x                                     (smear: current)
in each layer:  x = λr x + λ0 x0                                              (current)
                x = x + Wo · attention(rope, norm(q), norm(k), v + g ∘ ve)    (value embedding: current)
                x = x + Wproj · relu²(Wfc · rms(x))
x = rms(x − λb · x after the middle layer)                                    (backout: current)
logits = 15 tanh(x Wᵀ / 15)
"""

from typing import Any

from nanochat_np.backend.arrays import Array, array_module
from nanochat_np.nn.gpt_block import block, block_backward
from nanochat_np.nn.gpt_config import SOFTCAP, GPTConfig
from nanochat_np.nn.model import Weights
from nanochat_np.ops.embedding import embedding, embedding_backward
from nanochat_np.ops.head import head_loss, head_loss_backward, softcap, token_losses
from nanochat_np.ops.norm import rms_norm, rms_norm_backward
from nanochat_np.ops.rotary import rotary_tables
from nanochat_np.ops.smear import smear, smear_backward


def logits(w: Weights, config: GPTConfig, idx: Array) -> Array:
    """idx (B, T) -> capped logits (B, T, V).  All of them at once: for evaluation of few positions."""
    x, _ = hidden(w, config, idx)
    return softcap(x @ w["lm_head.weight"][: config.vocab_size].T, SOFTCAP)


def loss(w: Weights, config: GPTConfig, idx: Array, targets: Array) -> tuple[Array, Any]:
    """Mean cross-entropy in nats of ``targets`` (B, T), −1 ignored, given ``idx`` (B, T), and a cache."""
    x, cache = hidden(w, config, idx)
    rows = x.reshape(-1, config.n_embd)
    mean, head_cache = head_loss(rows, w["lm_head.weight"], targets.reshape(-1), config.vocab_size, SOFTCAP)
    return mean, (cache, head_cache)


def losses(w: Weights, config: GPTConfig, idx: Array, targets: Array) -> Array:
    """Cross-entropy of each target, (B, T), 0 where it is ignored."""
    x, _ = hidden(w, config, idx)
    rows = x.reshape(-1, config.n_embd)
    flat = token_losses(rows, w["lm_head.weight"], targets.reshape(-1), config.vocab_size, SOFTCAP)
    return flat.reshape(targets.shape)


def backward(cache: Any, grads: Weights, dloss: float = 1.0) -> None:
    """Add the gradient of ``dloss`` times the loss to ``grads``."""
    hidden_cache, head_cache = cache
    dx, dw = head_loss_backward(dloss, head_cache)
    grads["lm_head.weight"] += dw
    hidden_backward(dx, hidden_cache, grads)


def hidden(w: Weights, config: GPTConfig, idx: Array) -> tuple[Array, Any]:
    """idx (B, T) -> what the head reads, (B, T, C), and a cache."""
    xp = array_module(w["transformer.wte.weight"])
    tables = rotary_tables(idx.shape[1], config.head_dim, config.rope_base)
    cos, sin = (xp.asarray(table, w["transformer.wte.weight"].dtype) for table in tables)
    x, embedding_cache = embedding(w["transformer.wte.weight"], idx)
    x, norm_cache = rms_norm(x, config.norm_eps)
    smear_cache = None
    if config.is_current:
        x, smear_cache = smear(x, w["smear_gate.weight"], w["smear_lambda"])
    x0, middle, block_caches = x, None, []
    for layer, window in enumerate(config.windows()):
        before = x
        if config.is_current:
            x = w["resid_lambdas"][layer] * x + w["x0_lambdas"][layer] * x0
        x, block_cache = block(w, config, layer, x, idx, window, cos, sin)
        block_caches.append((before, block_cache))
        if layer == config.n_layer // 2:
            middle = x
    if config.is_current:
        x = x - w["backout_lambda"] * middle
    x, last_cache = rms_norm(x, config.norm_eps)
    return x, (w, config, embedding_cache, norm_cache, smear_cache, x0, block_caches, middle, last_cache)


def hidden_backward(dx: Array, cache: Any, grads: Weights) -> None:
    """The steps of `hidden` in reverse; dx (N, C) or (B, T, C)."""
    w, config, embedding_cache, norm_cache, smear_cache, x0, block_caches, middle, last_cache = cache
    dx = rms_norm_backward(dx.reshape(x0.shape), last_cache)
    dmiddle, dx0 = 0, 0
    if config.is_current:
        grads["backout_lambda"] -= (dx * middle).sum()
        dmiddle = -w["backout_lambda"] * dx
    for layer in reversed(range(config.n_layer)):
        before, block_cache = block_caches[layer]
        if layer == config.n_layer // 2:
            dx = dx + dmiddle
        dx = block_backward(dx, config, layer, block_cache, grads)
        if config.is_current:
            grads["resid_lambdas"][layer] += (dx * before).sum()
            grads["x0_lambdas"][layer] += (dx * x0).sum()
            dx0 = dx0 + w["x0_lambdas"][layer] * dx
            dx = w["resid_lambdas"][layer] * dx
    if config.is_current:
        dx, dgate, dstrength = smear_backward(dx + dx0, smear_cache)
        grads["smear_gate.weight"] += dgate
        grads["smear_lambda"] += dstrength
    dx = rms_norm_backward(dx, norm_cache)
    grads["transformer.wte.weight"] += embedding_backward(dx, embedding_cache)
