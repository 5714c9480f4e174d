"""Softcap, cross-entropy and gradient in two visits to each row of logits (reference: `ops.head`)."""

from typing import Any

import numpy as np
from numba import prange

from nanochat_np.backend.jit import njit
from nanochat_np.kernels.blockwise_attention import clear
from nanochat_np.kernels.exponential import exp
from nanochat_np.kernels.threads import shared

_SUMS = {"reassoc", "contract"}


def capped_cross_entropy(z: np.ndarray, targets: np.ndarray, cap: float, share: Any) -> np.ndarray:
    """As `ops.head.capped_cross_entropy`."""
    nll, real = np.empty(len(z), z.dtype), z.dtype.type
    targets = np.ascontiguousarray(targets)
    _rows(z, targets, real(cap), real(0 if share is None else share), share is not None, nll)
    return nll


@shared
@njit(cache=True, parallel=True)
def _rows(z, targets, cap, share, with_gradient, nll):  # type: ignore[no-untyped-def]
    for n in prange(z.shape[0]):
        if targets[n] >= 0:
            nll[n] = _row(z[n], targets[n], cap, share, with_gradient)
        else:
            nll[n] = 0
            if with_gradient:
                clear(z[n])


@njit(cache=True, fastmath=_SUMS, error_model="numpy")
def _tanh(y):  # type: ignore[no-untyped-def]
    """±(1 − e)/(1 + e) with e = exp(−2|y|)."""
    one, zero = type(y)(1), type(y)(0)  # a plain 1 would make it all float64
    e = exp(-abs(y + y))
    t = (one - e) / (one + e)
    return -t if y < zero else t


@njit(cache=True, fastmath=_SUMS)
def _mass(t, cap):  # type: ignore[no-untyped-def]
    """exp(c) / exp(cap) for c = cap · t: no c is above the cap, which so serves as the row's maximum."""
    return exp(cap * (t - type(t)(1)))


@njit(cache=True, fastmath=_SUMS, error_model="numpy")
def _row(z, target, cap, share, with_gradient):  # type: ignore[no-untyped-def]
    one, inverse = z.dtype.type(1), z.dtype.type(1) / cap
    total = z.dtype.type(0)
    for v in range(z.size):
        t = _tanh(z[v] * inverse)
        z[v] = t
        total += _mass(t, cap)
    chosen = z[target]
    if with_gradient:
        of_total = share / total
        for v in range(z.size):
            t = z[v]
            z[v] = _mass(t, cap) * of_total * ((one - t) * (one + t))
        z[target] -= share * ((one - chosen) * (one + chosen))
    return np.log(total) + cap * (one - chosen)
