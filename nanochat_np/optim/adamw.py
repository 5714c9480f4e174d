"""AdamW.  Source: Loshchilov & Hutter 2019, arXiv:1711.05101, algorithm 2, with the schedule folded into lr."""

from nanochat_np.backend.arrays import Array, array_module
from nanochat_np.kernels import fused_on_cpu

EPS = 1e-8


@fused_on_cpu("optimizers")
def adamw_update(
    p: Array,
    g: Array,
    m: Array,
    v: Array,
    lr: float,
    beta1: float,
    beta2: float,
    eps: float,
    weight_decay: float,
    step: int,
    grad_scale: float = 1.0,
) -> None:
    """m = β₁m + (1−β₁)g;  v = β₂v + (1−β₂)g²;  p = p − lr·( m̂ / (√v̂ + ε) + λp ),  m̂ = m/(1−β₁ᵗ),  v̂ = v/(1−β₂ᵗ).

    p, g, m, v of one shape and dtype; p, m and v are contiguous and written.  ``step`` t counts from 1; the gradient is
    ``grad_scale`` · g.
    """
    xp, real = array_module(p), p.dtype.type
    g = real(grad_scale) * g
    m *= real(beta1)
    m += real(1 - beta1) * g
    v *= real(beta2)
    v += real(1 - beta2) * g * g
    m_hat = m / real(1 - beta1**step)
    v_hat = v / real(1 - beta2**step)
    p -= real(lr) * (m_hat / (xp.sqrt(v_hat) + real(eps)) + real(weight_decay) * p)


@fused_on_cpu("optimizers")
def adamw_rows_update(
    p: Array,
    g: Array,
    m: Array,
    v: Array,
    rows: Array,
    lr: float,
    beta1: float,
    beta2: float,
    eps: float,
    weight_decay: float,
    step: int,
    grad_scale: float = 1.0,
) -> None:
    """`adamw_update` of a table whose gradient is g[i] at row rows[i] and 0 at all others.

    p, m, v (V, C), g (U, C), rows (U,) integer, in order, each once.
    """
    whole = array_module(p).zeros_like(p)
    whole[rows] = g
    adamw_update(p, whole, m, v, lr, beta1, beta2, eps, weight_decay, step, grad_scale)
