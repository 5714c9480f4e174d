"""Linear map without bias."""

from nanochat_np.backend.arrays import Array
from nanochat_np.ops.matmul import Packed, matmul


def linear(x: Array, w: Array) -> tuple[Array, tuple[Array, Array]]:
    """y = x wᵀ.

    x (..., I), w (O, I) float.  Returns (y, cache): y (..., O); cache = (x, w).
    All leading axes are folded into one, so that it is a single matrix product.
    """
    y = matmul(x.reshape(-1, x.shape[-1]), w.T)  # (N, O)
    return y.reshape(*x.shape[:-1], w.shape[0]), (x, w)


def linear_backward(dy: Array, cache: tuple[Array, Array]) -> tuple[Array, Array]:
    """dx = dy w,  dw = dyᵀ x  (each y[n, o] = Σ_i x[n, i] w[o, i]).

    dy (..., O); returns dx (..., I) and dw (O, I), newly allocated.
    """
    x, w = cache
    rows = dy.reshape(-1, dy.shape[-1])  # (N, O)
    dx = matmul(rows, w)
    dw = matmul(rows.T, x.reshape(-1, x.shape[-1]))
    return dx.reshape(x.shape), dw


def add_linear_backward(dw: Array, dy: Array, cache: tuple[Array | Packed, Array], dx: Array | None = None) -> Array:
    """`linear_backward` into gradients that are there already: dw += dyᵀ x, and dx += dy w where dx is given, in place.

    dw (O, I), dy (..., O); x of the cache may be packed, (N, I), where several maps read it.  Returns dx (..., I),
    newly allocated if it was not given; a given one must be contiguous.
    """
    x, w = cache
    rows = dy.reshape(-1, dy.shape[-1])
    matmul(rows.T, x if isinstance(x, Packed) else x.reshape(-1, x.shape[-1]), out=dw, add=True)
    shape = *dy.shape[:-1], w.shape[1]
    if dx is None:
        return matmul(rows, w).reshape(shape)
    matmul(rows, w, out=dx.reshape(-1, w.shape[1]), add=True)
    return dx
