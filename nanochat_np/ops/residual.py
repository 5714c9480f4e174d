"""Residual sum.  Source: He et al. 2015, arXiv:1512.03385, eq. 1."""

from nanochat_np.backend.arrays import Array
from nanochat_np.kernels import fused_on_cpu

_SHARED = 1 << 18  # numbers from which on two threads are faster than NumPy's one


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


@fused_on_cpu("residual", pays=lambda total, x, scale=1.0: total.size >= _SHARED and total.flags.c_contiguous)
def add_to(total: Array, x: Array, scale: float = 1.0) -> None:
    """total += scale · x, in place.   total, x (...) of one shape and dtype."""
    total += x if scale == 1 else x * x.dtype.type(scale)
