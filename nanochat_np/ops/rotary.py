"""Rotary position embedding, on halves and turning by −θ as nanochat does.

Source: Su et al. 2021, arXiv:2104.09864, eq. 34.
"""

import numpy as np

from nanochat_np.backend.arrays import Array, array_module


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


def _turned(x: Array, cos: Array, sin: Array) -> Array:
    half = x.shape[-1] // 2
    x1, x2 = x[..., :half], x[..., half:]
    y = array_module(x).empty(x.shape, x.dtype)
    y[..., :half] = x1 * cos + x2 * sin
    y[..., half:] = x2 * cos - x1 * sin
    return y
