"""Smear: each position receives a gated share of the one before it.  Source: karpathy/nanochat at 92d63d4, gpt.py."""

from nanochat_np.backend.arrays import Array
from nanochat_np.kernels import fused_on_cpu
from nanochat_np.ops.gate import sigmoid_gate, sigmoid_gate_backward

Cache = tuple[Array, Array, Array, Array]


@fused_on_cpu("smear")
def smear(x: Array, w: Array, strength: Array) -> tuple[Array, Cache]:
    """y_t = x_t + λ u_t x_{t−1} for t ≥ 1,  u_t = sigmoid(w · x_t[:I]);  y_0 = x_0.

    x (B, T, C), w (1, I), strength λ (1,).  Returns (y, cache): y (B, T, C); cache = (x, u, w, λ), u (B, T - 1, 1).
    """
    u, _ = sigmoid_gate(x[:, 1:], w, 1.0)
    y = x.copy()
    y[:, 1:] += strength * u * x[:, :-1]
    return y, (x, u, w, strength)


@fused_on_cpu("smear")
def smear_backward(dy: Array, cache: Cache) -> tuple[Array, Array, Array]:
    """dx_t = dy_t + λ u_{t+1} dy_{t+1} + (through the gate);  s_t = dy_t · x_{t−1};  dλ = Σ s_t u_t;  du_t = λ s_t.

    dy (B, T, C); returns dx (B, T, C), dw (1, I), dλ (1,), newly allocated.
    """
    x, u, w, strength = cache
    late = dy[:, 1:]
    s = (late * x[:, :-1]).sum(-1, keepdims=True)  # (B, T - 1, 1)
    dpart, dw = sigmoid_gate_backward(strength * s, (x[:, 1:, : w.shape[1]], w, u, 1.0))
    dx = dy.copy()
    dx[:, :-1] += strength * u * late
    dx[:, 1:, : dpart.shape[-1]] += dpart
    return dx, dw, (s * u).sum().reshape(1)
