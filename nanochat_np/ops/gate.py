"""Sigmoid gates: a few channels of x decide how much of something else passes."""

from nanochat_np.backend.arrays import Array, array_module


def sigmoid(z: Array) -> Array:
    """1 / (1 + exp(−z)), written so that no exponential overflows.   z (...)."""
    xp = array_module(z)
    e = xp.exp(-xp.abs(z))
    return xp.where(z >= 0, 1 / (1 + e), e / (1 + e)).astype(z.dtype, copy=False)


def sigmoid_gate(x: Array, w: Array, scale: float) -> tuple[Array, tuple[Array, Array, Array, float]]:
    """g = scale · sigmoid(x[..., :I] wᵀ).

    x (..., C), w (O, I) with I ≤ C.  Returns (g, cache): g (..., O); cache = (x[..., :I], w, g, scale).
    """
    part = x[..., : w.shape[1]].copy()  # a view would keep all of x
    g = scale * sigmoid(part @ w.T)
    return g, (part, w, g, scale)


def sigmoid_gate_backward(dg: Array, cache: tuple[Array, Array, Array, float]) -> tuple[Array, Array]:
    """dz = dg · g · (1 − g/scale), from s' = s(1 − s);  dx[..., :I] = dz w,  dw = dzᵀ x[..., :I].

    dg (..., O); returns the gradient of the first I channels of x, (..., I), and dw (O, I), newly allocated.
    """
    part, w, g, scale = cache
    dz = dg * g * (1 - g / scale)
    dw = dz.reshape(-1, dz.shape[-1]).T @ part.reshape(-1, part.shape[-1])
    return dz @ w, dw
