"""Clipping by the global norm.  Source: Pascanu et al. 2013, arXiv:1211.5063, algorithm 1."""

from nanochat_np.backend.arrays import Array, array_module


def clip_by_norm(g: Array, grad_clip: float) -> Array:
    """Scale ``g`` (P,) in place to a norm of at most ``grad_clip`` (0: leave it), and return the norm it had, ().

    Nothing is read back from a GPU: the norm stays there as an array.
    """
    xp = array_module(g)
    norm = xp.sqrt(xp.vdot(g, g))
    if grad_clip:
        # c / max(norm, c) is min(1, c / norm) that never divides by 0.  An infinite or NaN element makes g NaN, and the
        # loss of the next step with it; the loop then stops.
        limit = g.dtype.type(grad_clip)
        g *= limit / xp.maximum(norm, limit)
    return norm
