"""Causal attention over a sliding window with grouped heads, in blocks.

No (T, S) matrix ever exists: a block of queries meets only the keys that it may see, its weights are used and dropped,
and the backward makes them again from the logarithm of their sum.  Sources: Dao et al. 2022, arXiv:2205.14135
(recomputing from log-sum-exp); Ainslie et al. 2023, arXiv:2305.13245 (grouped heads); Beltagy et al. 2020,
arXiv:2004.05150 (window).
"""

import math
from collections.abc import Iterator
from typing import Any

import numpy as np

from nanochat_np.backend import empty
from nanochat_np.backend.arrays import Array, array_module
from nanochat_np.kernels import fused_on_cpu
from nanochat_np.ops.matmul import matmul

BLOCK = 128
BLOCK_SCORES = 1 << 19  # scores in memory at a time, where a block of one text has no more


def _pays(q: Array, *_: object) -> bool:
    """Whether the heads are float32, and as wide as a tile."""
    return bool(q.dtype == np.float32 and q.shape[-1] >= 32)


def _pays_backward(do: Array, cache: tuple[Array, ...]) -> bool:
    return _pays(cache[0])


@fused_on_cpu("fused_attention", pays=_pays)
def blockwise_attention(q: Array, k: Array, v: Array, window: int | None = None) -> tuple[Array, Any]:
    """o_t = Σ_s p_ts v_s over s ≤ t, and t − s ≤ window where one is given;  p_t = softmax_s(q_t · k_s / sqrt(D)).

    q (B, H, T, D); k, v (B, K, S, D), S ≥ T and H a multiple of K: query head h uses key head h // (H / K), and the
    queries are the last T of the S positions.  Returns (o, cache): o (B, H, T, D), in memory (B, T, H, D), so that its
    heads merge without a copy; cache = (q, k, v, o, lse, window), lse (B, H, T) the logarithm of each softmax's
    denominator.
    """
    time, length, scale = q.shape[2], k.shape[2], 1 / math.sqrt(q.shape[-1])
    o, lse = _heads_within(q), empty(q.shape[:-1], q.dtype, like=q)
    for start in range(0, time, BLOCK):
        rows = slice(start, min(start + BLOCK, time))
        first = 0 if window is None else max(0, length - time + start - window)
        keys = slice(first, length - time + rows.stop)
        for texts in _texts(q, rows, keys):
            scores = matmul(_grouped(q, k)[texts, :, :, rows], k[texts, :, None, keys].swapaxes(-1, -2))
            p, lse_block = causal_softmax(scores, scale, length - time + start - first, window)
            _grouped(lse[..., None], k)[texts, :, :, rows, 0] = lse_block
            matmul(p, v[texts, :, None, keys], out=_grouped(o, k)[texts, :, :, rows])
    return o, (q, k, v, o, lse, window)


@fused_on_cpu("fused_attention", pays=_pays_backward)
def blockwise_attention_backward(do: Array, cache: Any) -> tuple[Array, Array, Array]:
    """With p = exp(s − lse):  dv = pᵀ do;  ds = p · (do vᵀ − Σ do·o);  dq = ds k / sqrt(D);  dk = dsᵀ q / sqrt(D).

    Σ_s dp·p = do · o, so that row sum needs no second pass.  dk and dv add up over the query heads of a group.  The
    blocks are of keys here, each with all queries that see it: so dk and dv are written once, and dq adds up.
    do (B, H, T, D); returns dq (B, H, T, D), dk and dv (B, K, S, D), newly allocated, in memory as the forward's o.
    """
    q, k, v, o, lse, window = cache
    time, length, scale = q.shape[2], k.shape[2], 1 / math.sqrt(q.shape[-1])
    delta = head_dots(do, o)  # (B, H, T)
    dq, dk, dv = _heads_within(q), _heads_within(k), _heads_within(v)
    dq.fill(0)
    for start in range(0, length, BLOCK):
        keys = slice(start, min(start + BLOCK, length))
        first = max(0, start - (length - time))
        last = time if window is None else max(first, min(time, keys.stop + window - (length - time)))
        rows = slice(first, last)
        for texts in _texts(q, rows, keys):
            block, dblock, lse_block, delta_block = (
                _grouped(x, k)[texts, :, :, rows] for x in (q, do, lse[..., None], delta[..., None])
            )
            keys_of_block = k[texts, :, None, keys]
            scores = matmul(block, keys_of_block.swapaxes(-1, -2))
            dp = matmul(dblock, v[texts, :, None, keys].swapaxes(-1, -2))
            position = length - time + first - start
            p, ds = causal_softmax_backward(dp, scores, lse_block[..., 0], delta_block[..., 0], scale, position, window)
            matmul(_stacked(p).swapaxes(-1, -2), _stacked(dblock), out=dv[texts, :, keys])
            matmul(_stacked(ds).swapaxes(-1, -2), _stacked(block), out=dk[texts, :, keys])
            part = _grouped(dq, k)[texts, :, :, rows]
            part += matmul(ds, keys_of_block)
    return dq, dk, dv


@fused_on_cpu("blockwise_attention")
def causal_softmax(z: Array, scale: float, position: int, window: int | None) -> tuple[Array, Array]:
    """p = softmax(scale · z) over what a row sees, 0 elsewhere:  row t sees s where 0 ≤ t + position − s ≤ window.

    z (..., T, S) float, which may be overwritten.  Returns p (..., T, S) and the logarithms of the
    denominators (..., T).
    """
    xp = array_module(z)
    z = xp.where(_hidden(z, position, window), z.dtype.type(-xp.inf), z * z.dtype.type(scale))
    top = z.max(-1, keepdims=True)
    e = xp.exp(z - top)
    mass = e.sum(-1, keepdims=True)
    return e / mass, (top + xp.log(mass))[..., 0]


@fused_on_cpu("blockwise_attention")
def causal_softmax_backward(
    dp: Array, z: Array, lse: Array, delta: Array, scale: float, position: int, window: int | None
) -> tuple[Array, Array]:
    """p = exp(scale · z − lse) where a row sees, else 0;   dz = p · (dp − delta) · scale.

    dp, z (..., T, S) float, which may be overwritten; lse, delta = Σ_s dp·p (..., T).  Returns p and dz (..., T, S).
    """
    xp, scale = array_module(z), z.dtype.type(scale)
    z = xp.where(_hidden(z, position, window), z.dtype.type(-xp.inf), z * scale)
    p = xp.exp(z - lse[..., None])
    return p, p * (dp - delta[..., None]) * scale


@fused_on_cpu("blockwise_attention")
def head_dots(x: Array, y: Array) -> Array:
    """Σ_d x·y.   x, y (B, H, T, D) -> (B, H, T)."""
    return (x * y).sum(-1)


def _hidden(z: Array, position: int, window: int | None) -> Array:
    """Which scores a row does not see, (T, S)."""
    xp = array_module(z)
    distance = xp.arange(position, position + z.shape[-2])[:, None] - xp.arange(z.shape[-1])
    return distance < 0 if window is None else (distance < 0) | (distance > window)


def _texts(q: Array, rows: slice, keys: slice) -> Iterator[slice]:
    """The batch in parts of at most BLOCK_SCORES scores."""
    each = q.shape[1] * (rows.stop - rows.start) * (keys.stop - keys.start)
    count = max(1, BLOCK_SCORES // max(1, each))
    return (slice(start, start + count) for start in range(0, q.shape[0], count))


def _heads_within(x: Array) -> Array:
    """A new array (B, H, T, D) as x, in memory (B, T, H, D)."""
    batch, heads, time, width = x.shape
    return empty((batch, time, heads, width), x.dtype, like=x).swapaxes(1, 2)


def _grouped(x: Array, k: Array) -> Array:
    """(B, H, T, D) -> (B, K, G, T, D), G query heads to a key head.  A view."""
    batch, heads, time, width = x.shape
    return x.reshape(batch, k.shape[1], heads // k.shape[1], time, width)


def _stacked(x: Array) -> Array:
    """(B, K, G, T, I) -> (B, K, G·T, I): the heads of a group as more rows of one product, copied if there are many."""
    batch, keys, group, time, width = x.shape
    if group == 1:
        return x[:, :, 0]
    stacked = empty((batch, keys, group, time, width), x.dtype, like=x)
    stacked[...] = x
    return stacked.reshape(batch, keys, group * time, width)
