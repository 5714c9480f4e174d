"""Softcap, cross-entropy and gradient in two visits to each row of logits (reference: `ops.head`)."""

import numpy as np
from numba import prange

from nanochat_np.backend.jit import njit
from nanochat_np.kernels.blockwise_attention import clear
from nanochat_np.kernels.exponential import exp, expm1
from nanochat_np.kernels.threads import shared

_SUMS = {"reassoc", "contract"}


def capped_cross_entropy(z: np.ndarray, targets: np.ndarray, cap: float, share: np.ndarray | None) -> np.ndarray:
    """As `ops.head.capped_cross_entropy`."""
    nll = np.empty(len(z), z.dtype)
    targets = np.ascontiguousarray(targets)
    shares = nll if share is None else np.ascontiguousarray(share, z.dtype)  # not read where there is none
    _rows(z, targets, z.dtype.type(cap), shares, share is not None, nll)
    return nll


@shared
@njit(cache=True, parallel=True)
def _rows(z, targets, cap, shares, with_gradient, nll):  # type: ignore[no-untyped-def]
    for n in prange(z.shape[0]):
        if targets[n] >= 0:
            nll[n] = _row(z[n], targets[n], cap, shares[n], with_gradient)
        else:
            nll[n] = 0
            if with_gradient:
                clear(z[n])


@njit(cache=True, fastmath={"contract"}, error_model="numpy")
def tanh(y):  # type: ignore[no-untyped-def]
    """∓e / (2 + e) with e = exp(−2|y|) − 1, which is precise for the small logits of a training's beginning as well."""
    two, zero = type(y)(2), type(y)(0)  # a plain 2 would make it all float64
    e = expm1(-abs(y + y))
    t = e / (two + e)
    return t if y < zero else -t


@njit(cache=True, fastmath={"contract"})
def _odds(t, chosen, cap):  # type: ignore[no-untyped-def]
    """exp(c) / exp(c of the target) for c = cap · t.

    The difference is taken first: while logits are small, that of two numbers with a maximum or the cap subtracted
    would keep few of their digits, and such noise in the gradient is enough to make a training at high rates worse.
    """
    return exp(cap * (t - chosen))


@njit(cache=True, fastmath=_SUMS, error_model="numpy")
def _row(z, target, cap, share, with_gradient):  # type: ignore[no-untyped-def]
    one, inverse = z.dtype.type(1), z.dtype.type(1) / cap
    total, chosen = z.dtype.type(0), tanh(z[target] * inverse)
    for v in range(z.size):
        t = tanh(z[v] * inverse)
        odds = _odds(t, chosen, cap)
        total += odds
        z[v] = odds * ((one - t) * (one + t))  # of the gradient all but what is one number for the row
    if with_gradient:
        of_total = share / total
        for v in range(z.size):
            z[v] *= of_total
        z[target] -= share * ((one - chosen) * (one + chosen))
    return np.log(total)
