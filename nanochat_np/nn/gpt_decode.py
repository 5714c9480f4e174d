"""The nanochat GPT token by token: new positions of texts, of whose earlier ones a cache has what these may see.

All but attention and smear treats positions one by one, so the layers are those of training (`nn.gpt_block`), with the
new positions of one text, or one new position of several texts, in the place of T.
"""

from collections.abc import Callable, Sequence
from typing import Any

from nanochat_np.backend import empty
from nanochat_np.backend.arrays import Array, array_module
from nanochat_np.nn.gpt_block import Layer, block
from nanochat_np.nn.gpt_cache import GPTCache
from nanochat_np.nn.gpt_config import SOFTCAP, GPTConfig
from nanochat_np.nn.model import Weights
from nanochat_np.ops.blockwise_attention import blockwise_attention
from nanochat_np.ops.embedding import embedding_norm
from nanochat_np.ops.gate import sigmoid_gate
from nanochat_np.ops.head import softcap
from nanochat_np.ops.norm import mix_norm, rms_norm

AttendIn = Callable[[int], Any]  # the number of a layer -> its `Attend`


def extend(w: Weights, config: GPTConfig, idx: Array, cache: GPTCache, slot: int) -> Array:
    """The next tokens idx (T,) of the text in ``slot`` -> what the head reads at each, (T, C); the cache has them then.

    Any division of a text into parts gives the same numbers, but for rounding.
    """
    start = cache.lengths[slot]

    def attend_in(layer: int) -> Any:
        def attend(q: Array, k: Array, v: Array, window: int | None) -> tuple[Array, Any]:
            xp, (past_k, past_v) = array_module(k), cache.past(layer, slot)
            cache.put(layer, slot, k[0], v[0])
            keys, values = (xp.concatenate(pair, 2) for pair in ((past_k, k), (past_v, v)))
            return blockwise_attention(q, keys, values, window)

        return attend

    def before(e: Array) -> Array:
        return array_module(e).concatenate((cache.before[slot : slot + 1], e[:-1]))

    positions = slice(start, start + len(idx))
    x, e = _through(w, config, idx, cache.cos[positions], cache.sin[positions], before, attend_in)
    cache.advance([slot], len(idx), e[-1:])
    return x


def step(w: Weights, config: GPTConfig, idx: Array, cache: GPTCache, slots: Sequence[int]) -> Array:
    """One next token of the text in each of ``slots``, idx (B,) -> (B, C), as `extend` does for each by itself."""
    positions = [cache.lengths[slot] for slot in slots]

    def attend_in(layer: int) -> Any:
        def attend(q: Array, k: Array, v: Array, _window: int | None) -> tuple[Array, Any]:
            o = empty((1, q.shape[2], q.shape[1], q.shape[3]), q.dtype, like=q).swapaxes(1, 2)
            for row, slot in enumerate(slots):
                new = slice(row, row + 1)
                cache.put(layer, slot, k[0, :, new], v[0, :, new])
                o[:, :, new] = blockwise_attention(q[:, :, new], *cache.seen(layer, slot))[0]
            return o, None

        return attend

    cos, sin = cache.cos[positions], cache.sin[positions]
    x, e = _through(w, config, idx, cos, sin, lambda _: cache.before[list(slots)], attend_in)
    cache.advance(slots, 1, e)
    return x


def head(w: Weights, config: GPTConfig, x: Array) -> Array:
    """What the head reads, (N, C) -> capped logits (N, V)."""
    return softcap(x @ w["lm_head.weight"][: config.vocab_size].T, SOFTCAP)


def _through(
    w: Weights,
    config: GPTConfig,
    idx: Array,
    cos: Array,
    sin: Array,
    before: Callable[[Array], Array],
    attend_in: AttendIn,
) -> tuple[Array, Array]:
    """Tokens (N,) -> what the head reads and the normalised embeddings, both (N, C).

    ``before`` turns the embeddings into those of the tokens before, (N, C), 0 where there is none.
    """
    row = idx[None]
    e, _ = embedding_norm(w["transformer.wte.weight"], row, config.norm_eps)
    x = e
    if config.is_current:
        u, _ = sigmoid_gate(e, w["smear_gate.weight"], 1.0)
        x = e + w["smear_lambda"] * u * before(e[0])
    x0, middle = x, x
    for number, window in enumerate(config.windows()):
        x, _ = block(Layer(w, config, number, window, row, cos, sin, attend_in(number)), x, x0)
        if number == config.n_layer // 2:
            middle = x
    if config.is_current:
        backout = w["backout_lambda"][0]
        _, x, _ = mix_norm(x, middle, backout.dtype.type(1), -backout, config.norm_eps)
    else:
        x, _ = rms_norm(x, config.norm_eps)
    return x[0], e[0]
