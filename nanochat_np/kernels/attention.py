"""Causal attention over short windows, never visiting the future (reference: `ops.attention`)."""

import numpy as np

from nanochat_np.backend.jit import njit
from nanochat_np.kernels.exponential import exp

_SUMS = {"reassoc", "contract"}


def causal_attention(
    q: np.ndarray, k: np.ndarray, v: np.ndarray
) -> tuple[np.ndarray, tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]]:
    """As `ops.attention.causal_attention`."""
    q, k, v = np.ascontiguousarray(q), np.ascontiguousarray(k), np.ascontiguousarray(v)
    heads = q.shape[0] * q.shape[1]
    (time, dim), keys = q.shape[2:], k.shape[2]
    o = np.empty_like(q)
    p = np.zeros((*q.shape[:3], keys), q.dtype)
    _forward(
        q.reshape(heads, time, dim),
        k.reshape(heads, keys, dim),
        v.reshape(heads, keys, dim),
        q.dtype.type(1 / np.sqrt(dim)),
        o.reshape(heads, time, dim),
        p.reshape(heads, time, keys),
    )
    return o, (q, k, v, p)


def causal_attention_backward(
    do: np.ndarray, cache: tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """As `ops.attention.causal_attention_backward`."""
    q, k, v, p = cache
    heads = q.shape[0] * q.shape[1]
    (time, dim), keys = q.shape[2:], k.shape[2]
    dq, dk, dv = (np.zeros(x.shape, x.dtype) for x in (q, k, v))  # C-contiguous, whatever the strides of x
    _backward(
        np.ascontiguousarray(do).reshape(heads, time, dim),
        q.reshape(heads, time, dim),
        k.reshape(heads, keys, dim),
        v.reshape(heads, keys, dim),
        p.reshape(heads, time, keys),
        q.dtype.type(1 / np.sqrt(dim)),
        dq.reshape(heads, time, dim),
        dk.reshape(heads, keys, dim),
        dv.reshape(heads, keys, dim),
    )
    return dq, dk, dv


@njit(cache=True, fastmath=_SUMS)
def _forward(q, k, v, scale, o, p):  # type: ignore[no-untyped-def]
    time, dim = q.shape[1], q.shape[2]
    earlier = k.shape[1] - time
    zero = q.dtype.type(0)
    for h in range(q.shape[0]):
        for t in range(time):
            seen = earlier + t + 1
            top = q.dtype.type(-np.inf)
            for s in range(seen):
                score = zero
                for d in range(dim):
                    score += q[h, t, d] * k[h, s, d]
                score *= scale
                p[h, t, s] = score
                top = max(top, score)
            mass = zero
            for s in range(seen):
                p[h, t, s] = exp(p[h, t, s] - top)
                mass += p[h, t, s]
            for d in range(dim):
                o[h, t, d] = zero
            for s in range(seen):
                p[h, t, s] /= mass
                for d in range(dim):
                    o[h, t, d] += p[h, t, s] * v[h, s, d]


@njit(cache=True, fastmath=_SUMS)
def _backward(do, q, k, v, p, scale, dq, dk, dv):  # type: ignore[no-untyped-def]
    time, dim = q.shape[1], q.shape[2]
    earlier = k.shape[1] - time
    zero = q.dtype.type(0)
    dp = np.empty(k.shape[1], q.dtype)
    for h in range(q.shape[0]):
        for t in range(time):
            seen = earlier + t + 1
            mean = zero
            for s in range(seen):
                total = zero
                for d in range(dim):
                    total += do[h, t, d] * v[h, s, d]
                    dv[h, s, d] += p[h, t, s] * do[h, t, d]
                dp[s] = total
                mean += total * p[h, t, s]
            for s in range(seen):
                ds = p[h, t, s] * (dp[s] - mean) * scale
                for d in range(dim):
                    dq[h, t, d] += ds * k[h, s, d]
                    dk[h, s, d] += ds * q[h, t, d]
