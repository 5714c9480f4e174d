"""Root-mean-square normalisation without a learned gain, alone and with the sum in front of it.

Source: Zhang & Sennrich 2019, arXiv:1910.07467, eq. 4 with g = 1.
"""

from nanochat_np.backend.arrays import Array, array_module, statistics_dtype
from nanochat_np.kernels import fused_on_cpu

EPS = 1e-5

Mix = tuple[Array, Array, Array, Array, Array]  # x, x0, a, b, rstd


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


@fused_on_cpu("norm")
def add_norm(x: Array, y: Array, eps: float = EPS) -> tuple[Array, Array, tuple[Array, Array]]:
    """z = x + y,  n = rms_norm(z): a residual sum and what the next layer reads of it.

    x, y (..., C) float.  Returns (z, n, cache): z, n (..., C); cache = (n, rstd), that of `rms_norm`.
    """
    z = x + y
    n, cache = rms_norm(z, eps)
    return z, n, cache


@fused_on_cpu("norm")
def add_norm_backward(dz: Array, dn: Array, cache: tuple[Array, Array]) -> Array:
    """dx = dy = dz + rms_norm_backward(dn): z is read twice, by the sum that follows and by the norm.

    dz, dn (..., C); returns the gradient of both operands, (..., C), newly allocated.
    """
    return dz + rms_norm_backward(dn, cache)


@fused_on_cpu("norm")
def mix_norm(x: Array, x0: Array, a: Array, b: Array, eps: float = EPS) -> tuple[Array, Array, Mix]:
    """m = a·x + b·x0,  n = rms_norm(m).

    x, x0 (..., C), a, b () float.  Returns (m, n, cache): m, n (..., C); cache = (x, x0, a, b, rstd).  The cache keeps
    neither m nor n, which `mix_norm_again` makes from it.
    """
    m = a * x + b * x0
    n, (_, rstd) = rms_norm(m, eps)
    return m, n, (x, x0, a, b, rstd)


@fused_on_cpu("norm")
def mix_norm_again(cache: Mix) -> Array:
    """n of `mix_norm`, (..., C), newly allocated."""
    x, x0, a, b, rstd = cache
    return (a * x + b * x0) * rstd


@fused_on_cpu("norm")
def mix_norm_backward(dm: Array, dn: Array, dx0: Array, cache: Mix) -> tuple[Array, Array, Array, Array]:
    """d = dm + rms_norm_backward(dn);   dx = a·d,  dx0 = dx0 + b·d,  da = Σ d·x,  db = Σ d·x0.

    dm, dn (..., C); dx0 (..., C) the gradient of x0 from elsewhere.  Returns dx and dx0 (..., C), da and db (), newly
    allocated.
    """
    x, x0, a, b, rstd = cache
    d = dm + rms_norm_backward(dn, (mix_norm_again(cache), rstd))
    return a * d, dx0 + b * d, (d * x).sum(), (d * x0).sum()
