"""Rotary position embedding, on halves and turning by −θ as nanochat does, and the norm of queries and keys after it.

Sources: Su et al. 2021, arXiv:2104.09864, eq. 34; Henry et al. 2020, arXiv:2010.04245 (norm).
"""

from typing import Any

import numpy as np

from nanochat_np.backend.arrays import Array, array_module
from nanochat_np.kernels import fused_on_cpu
from nanochat_np.ops.norm import rms_norm, rms_norm_backward


def rotary_tables(length: int, head_dim: int, base: float) -> tuple[np.ndarray, np.ndarray]:
    """cos and sin of t · base^(−2j/D) for positions t < length and j < D/2, each (length, D/2) float32."""
    inverse_frequency = (
        1.0 / np.power(np.float32(base), np.arange(0, head_dim, 2, dtype=np.float32) / head_dim)
    ).astype(np.float32)
    angle = np.arange(length, dtype=np.float32)[:, None] * inverse_frequency
    return np.cos(angle), np.sin(angle)


def rotary(x: Array, cos: Array, sin: Array) -> tuple[Array, tuple[Array, Array]]:
    """y₁ = x₁ cos + x₂ sin,  y₂ = −x₁ sin + x₂ cos, with x = [x₁ | x₂] the halves of the last axis.

    x (..., T, D) float; cos, sin (T, D/2).  Returns (y, cache): y (..., T, D); cache = (cos, sin).
    """
    return _turned(x, cos, sin), (cos, sin)


def rotary_backward(dy: Array, cache: tuple[Array, Array]) -> Array:
    """dx₁ = dy₁ cos − dy₂ sin,  dx₂ = dy₁ sin + dy₂ cos: a turn back, since a rotation's transpose is its inverse.

    dy (..., T, D); returns dx (..., T, D), newly allocated.
    """
    cos, sin = cache
    return _turned(dy, cos, -sin)


@fused_on_cpu("rotary")
def rotary_norm(x: Array, cos: Array, sin: Array, scale: float, eps: float) -> tuple[Array, Any]:
    """y = scale · rms_norm(rotary(x)), each head by itself.

    x (B, T, H, D) float; cos, sin (T, D/2).  Returns (y, cache): y (B, T, H, D); cache = (y, rstd, cos, sin, scale),
    rstd (B, T, H, 1).  The norm's backward needs its output, which is y / scale, and the turn's needs nothing.
    """
    turned, _ = rotary(x.swapaxes(1, 2), cos, sin)
    normed, (_, rstd) = rms_norm(turned.swapaxes(1, 2), eps)
    y = normed * x.dtype.type(scale)
    return y, (y, rstd, cos, sin, scale)


@fused_on_cpu("rotary")
def rotary_norm_backward(dy: Array, cache: Any) -> Array:
    """dx = rotary_backward(rms_norm_backward(scale · dy)).   dy (B, T, H, D); returns dx alike, newly allocated."""
    y, rstd, cos, sin, scale = cache
    real = y.dtype.type
    dturned = rms_norm_backward(dy * real(scale), (y * real(1 / scale), rstd))
    return rotary_backward(dturned.swapaxes(1, 2), (cos, sin)).swapaxes(1, 2)


def _turned(x: Array, cos: Array, sin: Array) -> Array:
    half = x.shape[-1] // 2
    x1, x2 = x[..., :half], x[..., half:]
    y = array_module(x).empty(x.shape, x.dtype)
    y[..., :half] = x1 * cos + x2 * sin
    y[..., half:] = x2 * cos - x1 * sin
    return y
