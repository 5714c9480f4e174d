"""Muon with the refinements of nanochat: the update of a weight matrix is its momentum, made nearly orthogonal.

Sources: Jordan et al. 2024 (Muon); Amsel et al. 2025, arXiv:2505.16932 (Polar Express); Li et al. 2025,
arXiv:2510.05491 (NorMuon); Chen et al. 2025, arXiv:2510.12402 (cautious weight decay); karpathy/nanochat at 92d63d4,
optim.py.
"""

import math
from collections.abc import Sequence

import numpy as np

from nanochat_np.backend import empty
from nanochat_np.backend.arrays import Array, array_module
from nanochat_np.kernels import fused_on_cpu
from nanochat_np.ops.matmul import matmul, symmetric_product

# Coefficients (a, b, c) of each step's odd polynomial a·s + b·s³ + c·s⁵ of the singular values s.
POLAR_EXPRESS = (
    (8.156554524902461, -22.48329292557795, 15.878769915207462),
    (4.042929935166739, -2.808917465908714, 0.5000178451051316),
    (3.8916678022926607, -2.772484153217685, 0.5060648178503393),
    (3.285753657755655, -2.3681294933425376, 0.46449024233003106),
    (2.3465413258596377, -1.7097828382687081, 0.42323551169305323),
)
_TINY = 1e-6


def muon_update(
    p: Sequence[Array],
    g: Sequence[Array],
    momentum_buffer: Array,
    second_moment: Array,
    lr: float,
    momentum: float,
    beta2: float,
    weight_decay: float,
    grad_scale: float = 1.0,
) -> None:
    """One step for K matrices of one shape (m, n); these and the two buffers change in place.

    ``momentum_buffer`` is (K, m, n), ``second_moment`` (K, m, 1) where m ≥ n, else (K, 1, n);  G = ``grad_scale`` · g.

        M = M + (1−μ)(G − M);   U = G + μ(M − G)                          Nesterov momentum
        X = orthogonal(U), with norm √min(m, n)                           `orthogonalized`
        X = X scaled by the rows' (columns') running mean square          NorMuon, its norm kept
        p = p − r X − r λ p where X·p ≥ 0,   r = lr √max(1, m/n)          cautious decay
    """
    u = empty(momentum_buffer.shape, momentum_buffer.dtype, like=momentum_buffer)
    for own, average, out in zip(g, momentum_buffer, u, strict=True):
        nesterov(own, average, momentum, grad_scale, out)
    x = orthogonalized(u)
    x *= _evening(x, second_moment, beta2)
    rate = lr * math.sqrt(max(1.0, x.shape[-2] / x.shape[-1]))
    for own, direction in zip(p, x, strict=True):
        cautious_descent(own, direction, rate, weight_decay)


@fused_on_cpu("muon")
def nesterov(g: Array, momentum_buffer: Array, momentum: float, grad_scale: float, out: Array) -> None:
    """M = M + (1−μ)(G − M), in place;  out = G + μ(M − G);  G = grad_scale · g.   M and out are contiguous."""
    real = g.dtype.type
    g = real(grad_scale) * g
    momentum_buffer += real(1 - momentum) * (g - momentum_buffer)
    out[...] = g + real(momentum) * (momentum_buffer - g)


def orthogonalized(u: Array) -> Array:
    """The matrices u (K, m, n) with their singular values moved close to 1, and a Frobenius norm of √min(m, n).

    Rows are brought to one length first (MuonEq); then five polynomial steps, each on the smaller of X Xᵀ and Xᵀ X.
    """
    return polar_express(u, POLAR_EXPRESS, _TINY)


@fused_on_cpu("polar_express", pays=lambda u, polynomials, tiny: u.dtype == np.float32 and min(u.shape) > 0)
def polar_express(u: Array, polynomials: tuple[tuple[float, float, float], ...], tiny: float) -> Array:
    """`orthogonalized` by these ``polynomials``, u contiguous; ``tiny`` keeps a norm of 0 from dividing."""
    xp, real = array_module(u), u.dtype.type
    rows, columns = u.shape[-2:]
    squares = square_sums(u, -1)
    equal = xp.sqrt(squares.sum(-2, keepdims=True) / real(rows)) / xp.maximum(xp.sqrt(squares), real(tiny))
    norm = xp.sqrt((squares * equal * equal).sum(-2, keepdims=True))
    x = empty(u.shape, u.dtype, like=u)
    x[...] = u
    x *= equal / (real(1.01) * norm + real(tiny))
    for a, b, c in polynomials:
        xt = x.swapaxes(-1, -2)
        s = symmetric_product(xt, x) if rows > columns else symmetric_product(x, xt)
        q = polynomial(s, symmetric_product(s, s), a, b, c)
        x = matmul(x, q) if rows > columns else matmul(q, x)
    norm = xp.sqrt(square_sums(x, -1).sum(-2, keepdims=True))
    x *= real(math.sqrt(min(rows, columns))) / xp.maximum(norm, real(tiny))
    return x


@fused_on_cpu("muon")
def polynomial(s: Array, square: Array, a: float, b: float, c: float) -> Array:
    """a·1 + b·S + c·S², written over S², which is ``square``.   s, square (K, k, k)."""
    real, (count, k, _) = s.dtype.type, s.shape
    square *= real(c)
    square += real(b) * s
    square.reshape(count, k * k)[:, :: k + 1] += real(a)
    return square


def second_moment_shape(rows: int, columns: int) -> tuple[int, int]:
    """Shape of a matrix's running mean square: one number a row, or a column where these are more."""
    return (rows, 1) if rows >= columns else (1, columns)


def _evening(x: Array, second_moment: Array, beta2: float) -> Array:
    """What divides x (K, m, n) by the root of its running mean square and keeps its norm, (K, m, 1) or (K, 1, n)."""
    xp, real = array_module(x), x.dtype.type
    axis = -1 if second_moment.shape[-1] == 1 else -2
    squares = square_sums(x, axis)
    second_moment += real(1 - beta2) * (squares / real(x.shape[axis]) - second_moment)
    scale = 1 / xp.sqrt(xp.maximum(second_moment, real(1e-10)))
    before = xp.sqrt(squares.sum((-2, -1), keepdims=True))
    after = xp.sqrt((squares * scale * scale).sum((-2, -1), keepdims=True))
    return scale * (before / xp.maximum(after, real(1e-10)))


@fused_on_cpu("muon")
def square_sums(x: Array, axis: int) -> Array:
    """Σ x² along ``axis``, −1 or −2, of each matrix.   x (K, m, n); returns (K, m, 1) or (K, 1, n)."""
    return (x * x).sum(axis, keepdims=True)


@fused_on_cpu("muon")
def cautious_descent(p: Array, x: Array, rate: float, weight_decay: float) -> None:
    """p = p − r X − r λ p where X·p ≥ 0, in place."""
    real = p.dtype.type
    p -= real(rate) * x + real(rate) * real(weight_decay) * p * (x * p >= 0)
