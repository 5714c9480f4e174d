"""Linear map without bias."""

from nanochat_np.backend.arrays import Array
from nanochat_np.ops.matmul import matmul


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
