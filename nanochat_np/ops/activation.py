"""Squared ReLU.  Source: So et al. 2021 (Primer), arXiv:2109.08668, section 4."""

from nanochat_np.backend.arrays import Array, array_module
from nanochat_np.kernels import fused_on_cpu


@fused_on_cpu("activation")
def relu_squared(x: Array) -> tuple[Array, tuple[Array]]:
    """y = max(x, 0)².

    x (...) float.  Returns (y, cache): y (...) in x.dtype; cache = (r,), r = max(x, 0).
    """
    r = array_module(x).maximum(x, 0)
    return r * r, (r,)


@fused_on_cpu("activation")
def relu_squared_backward(dy: Array, cache: tuple[Array]) -> Array:
    """dx = 2 r · dy, which is 0 wherever x ≤ 0.   dy (...); returns dx (...), newly allocated."""
    (r,) = cache
    return 2 * r * dy


@fused_on_cpu("activation")
def relu_squared_again(cache: tuple[Array]) -> Array:
    """y = r² from the forward's cache, (...), newly allocated: for who would rather not keep y."""
    (r,) = cache
    return r * r
