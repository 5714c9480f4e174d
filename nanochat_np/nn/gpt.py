"""The nanochat GPT, forward and backward.  Source: karpathy/nanochat at 92d63d4, gpt.py.

x = rms(wte[idx]);  x = smear(x);  x0 = x                                     (smear: current)
in each layer:  x = λr x + λ0 x0                                              (current)
                x = x + Wo · attention(rope, norm(q), norm(k), v + g ∘ ve)    (value embedding: current)
                x = x + Wproj · relu²(Wfc · rms(x))
x = rms(x − λb · x after the middle layer)                                    (backout: current)
logits = 15 tanh(x Wᵀ / 15)

With ``recompute`` the forward keeps of each layer its input alone, and the backward runs the layer again: the memory of
one layer in place of all of them, for a third more operations.  Source: Chen et al. 2016, arXiv:1604.06174.
"""

from typing import Any

from nanochat_np.backend import zeros
from nanochat_np.backend.arrays import Array, array_module
from nanochat_np.nn.gpt_block import Layer, block, block_backward
from nanochat_np.nn.gpt_config import SOFTCAP, GPTConfig
from nanochat_np.nn.model import Weights
from nanochat_np.ops.embedding import add_embedding_backward, embedding_norm
from nanochat_np.ops.head import head_loss, head_loss_and_gradient, softcap, token_losses
from nanochat_np.ops.matmul import matmul
from nanochat_np.ops.norm import mix_norm, mix_norm_backward, rms_norm, rms_norm_backward
from nanochat_np.ops.residual import add_to
from nanochat_np.ops.rotary import rotary_tables
from nanochat_np.ops.smear import smear, smear_backward


def logits(w: Weights, config: GPTConfig, idx: Array) -> Array:
    """idx (B, T) -> capped logits (B, T, V).  All of them at once: for evaluation of few positions."""
    x, _ = hidden(w, config, idx)
    return softcap(x @ w["lm_head.weight"][: config.vocab_size].T, SOFTCAP)


def logits_at(w: Weights, config: GPTConfig, idx: Array, places: Array) -> Array:
    """idx (B, T), places (N,) in idx.reshape(-1) -> capped logits (N, V) of what follows each of these places."""
    x, _ = hidden(w, config, idx, recompute=True)
    rows = x.reshape(-1, config.n_embd)[places]
    return softcap(matmul(rows, w["lm_head.weight"][: config.vocab_size].T), SOFTCAP)


def loss(w: Weights, config: GPTConfig, idx: Array, targets: Array) -> Array:
    """Mean cross-entropy in nats of ``targets`` (B, T), −1 ignored, given ``idx`` (B, T)."""
    x, _ = hidden(w, config, idx, recompute=True)
    return head_loss(x.reshape(-1, config.n_embd), *_head(w, config, targets))


def losses(w: Weights, config: GPTConfig, idx: Array, targets: Array) -> Array:
    """Cross-entropy of each target, (B, T), 0 where it is ignored."""
    x, _ = hidden(w, config, idx, recompute=True)
    return token_losses(x.reshape(-1, config.n_embd), *_head(w, config, targets)).reshape(targets.shape)


def forward(
    w: Weights,
    config: GPTConfig,
    idx: Array,
    targets: Array,
    grads: Weights,
    dloss: float | Array = 1.0,
    recompute: bool = False,
) -> tuple[Array, Any]:
    """`loss`, and a cache for `backward`.

    The gradient of ``dloss`` times the loss is meant.  Where it is an array (B, T) that of the sum of dloss times the
    loss of each target is, and the sum is returned.  The head's part is added to ``grads`` here already.
    """
    x, cache = hidden(w, config, idx, recompute)
    rows = x.reshape(-1, config.n_embd)
    of_each = dloss if isinstance(dloss, int | float) else dloss.reshape(-1)
    found, dx = head_loss_and_gradient(grads["lm_head.weight"], of_each, rows, *_head(w, config, targets))
    return found, (dx, cache)


def backward(cache: Any, grads: Weights, places: Array | None = None) -> None:
    """Add all else of the gradient to ``grads``.

    ``places`` (B, T) are the rows of the embeddings' gradients that take those of the tokens: idx if not given.
    """
    dx, hidden_cache = cache
    hidden_backward(dx, hidden_cache, grads, places)


def _head(w: Weights, config: GPTConfig, targets: Array) -> tuple[Array, Array, int, float]:
    return w["lm_head.weight"], targets.reshape(-1), config.vocab_size, SOFTCAP


def hidden(w: Weights, config: GPTConfig, idx: Array, recompute: bool = False) -> tuple[Array, Any]:
    """idx (B, T) -> what the head reads, (B, T, C), and a cache."""
    wte = w["transformer.wte.weight"]
    tables = rotary_tables(idx.shape[1], config.head_dim, config.rope_base)
    cos, sin = (array_module(wte).asarray(table, wte.dtype) for table in tables)
    x, norm_cache = embedding_norm(wte, idx, config.norm_eps)
    smear_cache: Any = None
    if config.is_current:
        x, smear_cache = smear(x, w["smear_gate.weight"], w["smear_lambda"])
    x0, middle, kept = x, None, []
    for number, window in enumerate(config.windows()):
        layer = Layer(w, config, number, window, idx, cos, sin)
        y, block_cache = block(layer, x, x0)
        kept.append((layer, x) if recompute else block_cache)
        x = y
        if number == config.n_layer // 2:
            middle = x
    last_cache: Any
    if config.is_current:
        backout = w["backout_lambda"][0]
        _, x, last_cache = mix_norm(x, middle, backout.dtype.type(1), -backout, config.norm_eps)
    else:
        x, last_cache = rms_norm(x, config.norm_eps)
    return x, (config, idx, recompute, norm_cache, smear_cache, x0, kept, last_cache)


def hidden_backward(dx: Array, cache: Any, grads: Weights, places: Array | None = None) -> None:
    """The steps of `hidden` in reverse; dx (N, C) or (B, T, C), ``places`` as in `backward`."""
    config, idx, recompute, norm_cache, smear_cache, x0, kept, last_cache = cache
    places = idx if places is None else places
    dx, dx0, dmiddle = dx.reshape(x0.shape), zeros(x0.shape, x0.dtype, like=x0), None
    if config.is_current:
        dx, dmiddle, _, dbackout = mix_norm_backward(dx0, dx, dx0, last_cache)
        grads["backout_lambda"] -= dbackout
    else:
        dx = rms_norm_backward(dx, last_cache)
    for number in reversed(range(config.n_layer)):
        if dmiddle is not None and number == config.n_layer // 2:
            add_to(dx, dmiddle)
        block_cache = kept[number]
        if recompute:
            layer, before = block_cache
            _, block_cache = block(layer, before, x0)
        dx, dx0 = block_backward(dx, dx0, block_cache, grads, places)
    if config.is_current:
        add_to(dx, dx0)
        dx, dgate, dstrength = smear_backward(dx, smear_cache)
        grads["smear_gate.weight"] += dgate
        grads["smear_lambda"] += dstrength
    add_embedding_backward(grads["transformer.wte.weight"], rms_norm_backward(dx, norm_cache), places)
