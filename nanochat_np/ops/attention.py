"""Causal multi-head attention.  Source: Vaswani et al. 2017, arXiv:1706.03762, eq. 1 and section 3.2.3 (the mask)."""

import math

from nanochat_np.backend.arrays import Array, array_module, statistics_dtype
from nanochat_np.kernels import fused_on_cpu

# Longest window, in keys, for which the fused loops beat four matrix products (`bench lab` shows both).
_FUSED_UP_TO = 32


def split_heads(x: Array, n_head: int) -> Array:
    """x (B, T, C) -> (B, H, T, D), D = C / H: channel h·D + d is channel d of head h.  `merge_heads` undoes it."""
    batch, time, width = x.shape
    return x.reshape(batch, time, n_head, width // n_head).transpose(0, 2, 1, 3)


def merge_heads(x: Array) -> Array:
    """x (B, H, T, D) -> (B, T, C), C = H·D: undoes `split_heads`."""
    batch, n_head, time, head_dim = x.shape
    return x.transpose(0, 2, 1, 3).reshape(batch, time, n_head * head_dim)


@fused_on_cpu("attention", pays=lambda q, k, v: k.shape[2] <= _FUSED_UP_TO)
def causal_attention(q: Array, k: Array, v: Array) -> tuple[Array, tuple[Array, Array, Array, Array]]:
    """o_t = Σ_{s ≤ t} p_ts v_s,   p_t = softmax_s(q_t · k_s / sqrt(D)).

    q (B, H, T, D); k, v (B, H, S, D) float, S ≥ T: the queries are the last T of the S positions, so that a cache of
    earlier keys and values stands in front of them.  Returns (o, cache): o (B, H, T, D); cache = (q, k, v, p),
    p (B, H, T, S), zero for the future.
    """
    xp = array_module(q)
    stat = statistics_dtype(q.dtype)
    scores = (q @ k.swapaxes(-1, -2)).astype(stat, copy=False) * stat(1 / math.sqrt(q.shape[-1]))  # (B, H, T, S)
    time, keys = scores.shape[-2:]
    future = xp.arange(keys) > xp.arange(keys - time, keys)[:, None]  # (T, S)
    scores = xp.where(future, stat(-xp.inf), scores)
    e = xp.exp(scores - scores.max(-1, keepdims=True))
    p = (e / e.sum(-1, keepdims=True)).astype(q.dtype, copy=False)
    return p @ v, (q, k, v, p)


@fused_on_cpu("attention", pays=lambda do, cache: cache[1].shape[2] <= _FUSED_UP_TO)
def causal_attention_backward(do: Array, cache: tuple[Array, Array, Array, Array]) -> tuple[Array, Array, Array]:
    """From o = p v,  p = softmax(s),  s = q kᵀ / sqrt(D), in reverse:

    dv = pᵀ do;   dp = do vᵀ;   ds = p · (dp − Σ_s dp·p);   dq = ds k / sqrt(D);   dk = dsᵀ q / sqrt(D).
    The mask needs no step of its own: where p is 0, ds is 0.

    do (B, H, T, D); returns dq (B, H, T, D), dk and dv (B, H, S, D), newly allocated.
    """
    q, k, v, p = cache
    scale = q.dtype.type(1 / math.sqrt(q.shape[-1]))
    dv = p.swapaxes(-1, -2) @ do
    dp = do @ v.swapaxes(-1, -2)
    ds = p * (dp - (dp * p).sum(-1, keepdims=True)) * scale
    return ds @ k, ds.swapaxes(-1, -2) @ q, dv
