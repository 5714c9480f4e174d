"""Softmax cross-entropy in one visit to each row of logits (reference: `ops.loss`)."""

import numpy as np

from nanochat_np.backend.jit import njit
from nanochat_np.kernels.exponential import exp


def softmax_cross_entropy(logits: np.ndarray, targets: np.ndarray) -> tuple[np.floating, tuple[np.ndarray, np.ndarray]]:
    """As `ops.loss.softmax_cross_entropy`."""
    rows = np.ascontiguousarray(logits).reshape(-1, logits.shape[-1])
    p = np.empty_like(rows)
    total = _forward(rows, np.ascontiguousarray(targets).reshape(-1), p)
    return rows.dtype.type(total / len(rows)), (p.reshape(logits.shape), targets)


def softmax_cross_entropy_backward(dloss: float, cache: tuple[np.ndarray, np.ndarray]) -> np.ndarray:
    """As `ops.loss.softmax_cross_entropy_backward`."""
    p, targets = cache
    rows = p.reshape(-1, p.shape[-1])
    dlogits = np.empty_like(rows)
    _backward(p.dtype.type(dloss / len(rows)), rows, np.ascontiguousarray(targets).reshape(-1), dlogits)
    return dlogits.reshape(p.shape)


@njit(cache=True, fastmath={"reassoc", "contract"})
def _forward(z, targets, p):  # type: ignore[no-untyped-def]
    total = 0.0
    for n in range(z.shape[0]):
        top = z[n, 0]
        for v in range(1, z.shape[1]):
            top = max(top, z[n, v])
        mass = z.dtype.type(0)
        for v in range(z.shape[1]):
            e = exp(z[n, v] - top)
            p[n, v] = e
            mass += e
        total += np.log(mass) + (top - z[n, targets[n]])  # the difference first: a common offset leaves no rounding
        share = 1 / mass
        for v in range(z.shape[1]):
            p[n, v] *= share
    return total


@njit(cache=True)
def _backward(scale, p, targets, dz):  # type: ignore[no-untyped-def]
    for n in range(p.shape[0]):
        for v in range(p.shape[1]):
            dz[n, v] = p[n, v] * scale
        dz[n, targets[n]] -= scale
