"""Muon with the refinements of nanochat: the update of a weight matrix is its momentum, made nearly orthogonal.

Sources: Jordan et al. 2024 (Muon); Amsel et al. 2025, arXiv:2505.16932 (Polar Express); Li et al. 2025,
arXiv:2510.05491 (NorMuon); Chen et al. 2025, arXiv:2510.12402 (cautious weight decay); karpathy/nanochat at 92d63d4,
optim.py.
"""

import math

from nanochat_np.backend.arrays import Array, array_module

# Coefficients (a, b, c) of each step's odd polynomial a·s + b·s³ + c·s⁵ of the singular values s.
POLAR_EXPRESS = (
    (8.156554524902461, -22.48329292557795, 15.878769915207462),
    (4.042929935166739, -2.808917465908714, 0.5000178451051316),
    (3.8916678022926607, -2.772484153217685, 0.5060648178503393),
    (3.285753657755655, -2.3681294933425376, 0.46449024233003106),
    (2.3465413258596377, -1.7097828382687081, 0.42323551169305323),
)
_TINY = 1e-6  # keeps a norm of 0 from dividing


def muon_update(
    p: Array,
    g: Array,
    momentum_buffer: Array,
    second_moment: Array,
    lr: float,
    momentum: float,
    beta2: float,
    weight_decay: float,
) -> None:
    """One step for a stack of matrices of one shape, (K, m, n) each; p and the two buffers change in place.

    ``second_moment`` is (K, m, 1) where m ≥ n, else (K, 1, n).

        M = M + (1−μ)(G − M);   U = G + μ(M − G)                          Nesterov momentum
        X = orthogonal(U), with norm √min(m, n)                           `orthogonalized`
        X = X scaled by the rows' (columns') running mean square          NorMuon, its norm kept
        p = p − r X − r λ p where X·p ≥ 0,   r = lr √max(1, m/n)          cautious decay
    """
    real = p.dtype.type
    momentum_buffer += real(1 - momentum) * (g - momentum_buffer)
    update = g + real(momentum) * (momentum_buffer - g)
    x = _variance_reduced(orthogonalized(update), second_moment, beta2)
    rate = real(lr * math.sqrt(max(1.0, p.shape[-2] / p.shape[-1])))
    p -= rate * x + rate * real(weight_decay) * p * (x * p >= 0)


def orthogonalized(u: Array) -> Array:
    """The matrices u (K, m, n) with their singular values moved close to 1, and a Frobenius norm of √min(m, n).

    Rows are brought to one length first (MuonEq); then five polynomial steps, each on the smaller of X Xᵀ and Xᵀ X.
    """
    xp, real = array_module(u), u.dtype.type
    rows, columns = u.shape[-2:]
    lengths = xp.maximum(xp.sqrt((u * u).sum(-1, keepdims=True)), real(_TINY))
    x = u * (_frobenius(u) / real(math.sqrt(rows)) / lengths)
    x = x / (real(1.01) * _frobenius(x) + real(_TINY))
    for a, b, c in POLAR_EXPRESS:
        if rows > columns:
            s = x.swapaxes(-1, -2) @ x
            x = real(a) * x + x @ (real(b) * s + real(c) * (s @ s))
        else:
            s = x @ x.swapaxes(-1, -2)
            x = real(a) * x + (real(b) * s + real(c) * (s @ s)) @ x
    return x * (real(math.sqrt(min(rows, columns))) / xp.maximum(_frobenius(x), real(_TINY)))


def second_moment_shape(rows: int, columns: int) -> tuple[int, int]:
    """Shape of a matrix's running mean square: one number a row, or a column where these are more."""
    return (rows, 1) if rows >= columns else (1, columns)


def _variance_reduced(x: Array, second_moment: Array, beta2: float) -> Array:
    """x (K, m, n) divided by the root of its running mean square, scaled back to the norm it had."""
    xp, real = array_module(x), x.dtype.type
    axis = -1 if second_moment.shape[-1] == 1 else -2
    size = real(x.shape[axis])
    mean_square = (x * x).mean(axis, keepdims=True)
    second_moment += real(1 - beta2) * (mean_square - second_moment)
    scale = 1 / xp.sqrt(xp.maximum(second_moment, real(1e-10)))
    before = xp.sqrt((size * mean_square).sum((-2, -1), keepdims=True))
    after = xp.sqrt((size * mean_square * scale * scale).sum((-2, -1), keepdims=True))
    return x * (scale * (before / xp.maximum(after, real(1e-10))))


def _frobenius(x: Array) -> Array:
    """Norm of each matrix, (K, 1, 1)."""
    return array_module(x).sqrt((x * x).sum((-2, -1), keepdims=True))
