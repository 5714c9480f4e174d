"""Clipping by the global norm.  Source: Pascanu et al. 2013, arXiv:1211.5063, algorithm 1."""

import math

from nanochat_np.backend.arrays import Array, array_module, to_numpy
from nanochat_np.kernels import fused_on_cpu
from nanochat_np.nn.model import Weights


def clip_by_norm(g: Array, grad_clip: float) -> Array:
    """Scale ``g`` (P,) in place to a norm of at most ``grad_clip`` (0: leave it), and return the norm it had, ().

    Nothing is read back from a GPU: the norm stays there as an array.
    """
    xp = array_module(g)
    norm = xp.sqrt(xp.vdot(g, g))
    if grad_clip:
        g *= clip_scale(norm, g.dtype.type(grad_clip))
    return norm


def clip_scale(norm: Array | float, grad_clip: float) -> Array | float:
    """What a gradient of this ``norm``, a number or (), is multiplied by: min(1, c / norm), and 1 where c is 0.

    An infinite or NaN element makes the gradient NaN, and the loss of the next step with it; the caller then stops.
    """
    # c / max(norm, c) is min(1, c / norm) that never divides by 0.
    return grad_clip / array_module(norm).maximum(norm, grad_clip) if grad_clip else 1.0


def global_norm(grads: Weights) -> float:
    """Norm of all gradients together, summed in float64.  Where they are on a GPU, this waits for it, once."""
    return math.sqrt(float(to_numpy(sum(squared_norm(g) for g in grads.values()))))


@fused_on_cpu("optimizers")
def squared_norm(x: Array) -> Array:
    """Σ x², () float64."""
    wide = x.astype("float64")
    return (wide * wide).sum()
