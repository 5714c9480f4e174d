"""The one matrix product that everything large goes through."""

import math

from nanochat_np.backend import empty, pool
from nanochat_np.backend.arrays import Array, array_module

_SURELY_SMALL = 1 << 17  # M·K·N: quick to tell, for where the product itself is quick


def matmul(x: Array, y: Array, out: Array | None = None) -> Array:
    """x @ y, into ``out`` or into memory of the pool.   x (..., M, K), y (..., K, N) float -> (..., M, N).

    Leading axes broadcast as NumPy's do; x has all of them.
    """
    if out is None and x.size * y.shape[-1] < _SURELY_SMALL:
        return x @ y
    if out is None:
        shape = (*x.shape[:-1], y.shape[-1])
        if math.prod(shape) * x.dtype.itemsize < pool.SMALLEST:
            return x @ y
        out = empty(shape, x.dtype, like=x)
    return array_module(x).matmul(x, y, out=out)
