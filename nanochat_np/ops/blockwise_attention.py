"""Causal attention over a sliding window with grouped heads, in blocks of queries.

No (T, S) matrix ever exists: a block of queries meets only the keys that it may see, its weights are used and dropped,
and the backward makes them again from the logarithm of their sum.  Sources: Dao et al. 2022, arXiv:2205.14135
(recomputing from log-sum-exp); Ainslie et al. 2023, arXiv:2305.13245 (grouped heads); Beltagy et al. 2020,
arXiv:2004.05150 (window).
"""

import math
from collections.abc import Iterator
from typing import Any

from nanochat_np.backend.arrays import Array, array_module

BLOCK = 128


def blockwise_attention(q: Array, k: Array, v: Array, window: int | None = None) -> tuple[Array, Any]:
    """o_t = Σ_s p_ts v_s over s ≤ t, and t − s ≤ window where one is given;  p_t = softmax_s(q_t · k_s / sqrt(D)).

    q (B, H, T, D); k, v (B, K, S, D), S ≥ T and H a multiple of K: query head h uses key head h // (H / K), and the
    queries are the last T of the S positions.  Returns (o, cache): o (B, H, T, D); cache = (q, k, v, o, lse, window),
    lse (B, K, H/K, T) the logarithm of each softmax's denominator.
    """
    xp = array_module(q)
    groups = _grouped(q, k)
    o, lse = xp.empty(groups.shape, q.dtype), xp.empty(groups.shape[:-1], q.dtype)
    for rows, keys, hidden in _blocks(xp, q.shape[2], k.shape[2], window):
        scores = _scores(groups[:, :, :, rows], k[:, :, keys], hidden)
        top = scores.max(-1, keepdims=True)
        e = xp.exp(scores - top)
        mass = e.sum(-1, keepdims=True)
        o[:, :, :, rows] = _rows_times(e, v[:, :, keys]) / mass
        lse[:, :, :, rows] = (top + xp.log(mass))[..., 0]
    o = o.reshape(q.shape)
    return o, (q, k, v, o, lse, window)


def blockwise_attention_backward(do: Array, cache: Any) -> tuple[Array, Array, Array]:
    """With p = exp(s − lse):  dv = pᵀ do;  ds = p · (do vᵀ − Σ do·o);  dq = ds k / sqrt(D);  dk = dsᵀ q / sqrt(D).

    Σ_s dp·p = do · o, so that row sum needs no second pass.  dk and dv add up over the query heads of a group.
    do (B, H, T, D); returns dq (B, H, T, D), dk and dv (B, K, S, D), newly allocated.
    """
    q, k, v, o, lse, window = cache
    xp, scale = array_module(do), q.dtype.type(1 / math.sqrt(q.shape[-1]))
    groups, dos = _grouped(q, k), _grouped(do, k)
    delta = (dos * _grouped(o, k)).sum(-1)  # (B, K, G, T)
    dq, dk, dv = xp.empty(groups.shape, q.dtype), xp.zeros(k.shape, k.dtype), xp.zeros(v.shape, v.dtype)
    for rows, keys, hidden in _blocks(xp, q.shape[2], k.shape[2], window):
        block, dblock = groups[:, :, :, rows], dos[:, :, :, rows]
        p = xp.exp(_scores(block, k[:, :, keys], hidden) - lse[:, :, :, rows, None])
        dp = _rows_times(dblock, v[:, :, keys].swapaxes(-1, -2))
        ds = p * (dp - delta[:, :, :, rows, None]) * scale
        dv[:, :, keys] += _columns_times(p, dblock)
        dk[:, :, keys] += _columns_times(ds, block)
        dq[:, :, :, rows] = _rows_times(ds, k[:, :, keys])
    return dq.reshape(q.shape), dk, dv


def _grouped(q: Array, k: Array) -> Array:
    """(B, H, T, D) -> (B, K, G, T, D), G query heads to a key head."""
    batch, n_head, time, head_dim = q.shape
    return q.reshape(batch, k.shape[1], n_head // k.shape[1], time, head_dim)


def _blocks(xp: Any, time: int, length: int, window: int | None) -> Iterator[tuple[slice, slice, Array]]:
    """Slices of queries, the keys that any of them sees, and which of these each one does not, (T', S')."""
    earlier = length - time
    for start in range(0, time, BLOCK):
        stop = min(start + BLOCK, time)
        first = 0 if window is None else max(0, earlier + start - window)
        distance = xp.arange(earlier + start, earlier + stop)[:, None] - xp.arange(first, earlier + stop)
        hidden = distance < 0 if window is None else (distance < 0) | (distance > window)
        yield slice(start, stop), slice(first, earlier + stop), hidden


def _scores(block: Array, k: Array, hidden: Array) -> Array:
    """(B, K, G, T', D), (B, K, S', D) -> scaled scores (B, K, G, T', S'), −inf where hidden."""
    xp = array_module(block)
    scores = _rows_times(block, k.swapaxes(-1, -2)) * block.dtype.type(1 / math.sqrt(block.shape[-1]))
    return xp.where(hidden, scores.dtype.type(-xp.inf), scores)


def _rows_times(x: Array, y: Array) -> Array:
    """(B, K, G, T', I) @ (B, K, I, O) -> (B, K, G, T', O), the heads of a group as more rows of one product."""
    batch, groups, heads, time, width = x.shape
    return (x.reshape(batch, groups, heads * time, width) @ y).reshape(batch, groups, heads, time, y.shape[-1])


def _columns_times(x: Array, y: Array) -> Array:
    """(B, K, G, T', I)ᵀ (B, K, G, T', O) -> (B, K, I, O), summed over the heads of a group."""
    batch, groups, heads, time, width = x.shape
    rows = x.reshape(batch, groups, heads * time, width)
    return rows.swapaxes(-1, -2) @ y.reshape(batch, groups, heads * time, y.shape[-1])
