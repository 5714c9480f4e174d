"""A matrix of low rank, as the product of two thin ones.  Source: Hu et al. 2021, arXiv:2106.09685, eq. 3."""

from nanochat_np.backend.arrays import Array
from nanochat_np.ops.matmul import matmul


def low_rank(b: Array, a: Array, scale: float) -> tuple[Array, tuple[Array, Array, float]]:
    """y = s b a.

    b (O, R), a (R, I) float, s = ``scale``.  Returns (y, cache): y (O, I); cache = (b, a, s).
    """
    return matmul(_scaled(b, scale), a), (b, a, scale)


def low_rank_backward(dy: Array, cache: tuple[Array, Array, float]) -> tuple[Array, Array]:
    """db = s dy aᵀ,  da = s bᵀ dy  (each y[o, i] = s Σ_r b[o, r] a[r, i]).

    dy (O, I); returns db (O, R) and da (R, I), newly allocated.
    """
    b, a, scale = cache
    return matmul(dy, _scaled(a, scale).T), matmul(_scaled(b, scale).T, dy)


def add_low_rank(w: Array, b: Array, a: Array, scale: float) -> None:
    """w += `low_rank` of b, a and ``scale``, in place.   w (O, I) contiguous."""
    matmul(_scaled(b, scale), a, out=w, add=True)


def _scaled(x: Array, scale: float) -> Array:
    return x.dtype.type(scale) * x
