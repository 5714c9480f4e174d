"""Root-mean-square normalisation without a learned gain.

Source: Zhang & Sennrich 2019, arXiv:1910.07467, eq. 4 with g = 1.
"""

from nanochat_np.backend.arrays import Array, array_module, statistics_dtype
from nanochat_np.kernels import fused_on_cpu

EPS = 1e-5


@fused_on_cpu("norm")
def rms_norm(x: Array, eps: float = EPS) -> tuple[Array, tuple[Array, Array]]:
    """y = x / sqrt(mean(x², -1) + eps).

    x (..., C) float.  Returns (y, cache): y (..., C) in x.dtype; cache = (y, rstd), rstd (..., 1).
    Statistics in float32, or float64 when x is.
    """
    xp = array_module(x)
    stat = statistics_dtype(x.dtype)
    xs = x.astype(stat, copy=False)
    rstd = 1 / xp.sqrt((xs * xs).mean(-1, keepdims=True) + stat(eps))
    y = (xs * rstd).astype(x.dtype, copy=False)
    return y, (y, rstd)


@fused_on_cpu("norm")
def rms_norm_backward(dy: Array, cache: tuple[Array, Array]) -> Array:
    """dx = rstd · (dy − y · mean(dy·y, -1)).

    From y = x · rstd and d rstd/dx = −rstd³ x / C; exact for every eps.
    dy (..., C); returns dx (..., C), newly allocated.
    """
    y, rstd = cache
    stat = rstd.dtype
    dys, ys = dy.astype(stat, copy=False), y.astype(stat, copy=False)
    dx = rstd * (dys - ys * (dys * ys).mean(-1, keepdims=True))
    return dx.astype(dy.dtype, copy=False)
