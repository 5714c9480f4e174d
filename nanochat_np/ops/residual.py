"""Residual sum.  Source: He et al. 2015, arXiv:1512.03385, eq. 1."""

from nanochat_np.backend.arrays import Array


def add(x: Array, y: Array) -> tuple[Array, None]:
    """z = x + y.

    x, y (...) of one shape, or of shapes that broadcast, float.  Returns (z, None).
    """
    return x + y, None


def add_backward(dz: Array, cache: None) -> tuple[Array, Array]:
    """dx = dz, dy = dz: a sum hands its gradient to both sides unchanged.

    dz (...); returns dz itself twice.  For operands of one shape; whoever broadcast one sums over what it broadcast.
    """
    return dz, dz
