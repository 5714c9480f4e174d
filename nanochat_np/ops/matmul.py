"""The one matrix product that everything large goes through."""

from nanochat_np.backend import empty
from nanochat_np.backend.arrays import Array, array_module
from nanochat_np.backend.pool import SMALLEST


def matmul(x: Array, y: Array, out: Array | None = None) -> Array:
    """x @ y, into ``out`` or into memory of the pool.   x (..., M, K), y (..., K, N) float -> (..., M, N).

    Leading axes broadcast as NumPy's do; x has all of them.
    """
    shape = (*x.shape[:-1], y.shape[-1])
    if out is None:
        if shape[-2] * shape[-1] * x.dtype.itemsize < SMALLEST and len(shape) == 2:
            return x @ y
        out = empty(shape, x.dtype, like=x)
    return array_module(x).matmul(x, y, out=out)
