"""The one matrix product that everything large goes through."""

import math
from typing import NamedTuple

import numpy as np

from nanochat_np.backend import empty, pool
from nanochat_np.backend.arrays import Array, array_module
from nanochat_np.backend.products import product_dtype
from nanochat_np.kernels import fused_on_cpu

_SURELY_SMALL = 1 << 17  # M·K·N: quick to tell, for where the product itself is quick
WORTH_PACKING = 1 << 20  # M·K·N from which our product is the faster one, packing included
_LEAST_ROWS = 8  # a whole tile


class Packed(NamedTuple):
    """A right operand y (K, N) for several products, which must not change between them: see `packed`."""

    y: Array
    panels: Array | None


def packed(y: Array) -> Packed:
    """y (K, N) for several ``matmul(x, packed(y))``, put once into the order in which a kernel reads it."""
    return Packed(y, panels_of(y))


def matmul(x: Array, y: Array | Packed, out: Array | None = None, add: bool = False) -> Array:
    """x @ y, into ``out`` or into memory of the pool.   x (..., M, K), y (..., K, N) float -> (..., M, N).

    Leading axes broadcast as NumPy's do; x has all of them.  Large products of two matrices are those of
    `matrix_product`, and of two stacks of as many matrices of `stack_product`.  ``add``, and a packed y, are for two
    matrices: out += x @ y.
    """
    if isinstance(y, Packed) or add:
        y, panels = y if isinstance(y, Packed) else (y, None)
        if out is None:
            out = empty((len(x), y.shape[1]), x.dtype, like=x)
        return matrix_product(x, y, out, add, panels)
    if out is None and x.size * y.shape[-1] < _SURELY_SMALL:
        return x @ y
    product = matrix_product if x.ndim == 2 else stack_product if _are_stacks(x, y) else None
    if out is None:
        shape = (*x.shape[:-1], y.shape[-1])
        if product is None and math.prod(shape) * x.dtype.itemsize < pool.SMALLEST:
            return x @ y
        out = empty(shape, x.dtype, like=x)
    return product(x, y, out) if product else _product(x, y, out)


def _are_stacks(x: Array, y: Array) -> bool:
    return x.ndim == y.ndim == 3 and len(x) == len(y) > 0


def _pays(x: Array, y: Array, out: Array, add: bool = False, panels: Array | None = None) -> bool:
    """Whether all are float32, of a shape worth packing, and in a layout that packing reads."""
    (m, k), n, size = x.shape, y.shape[1], 4
    return bool(
        m >= _LEAST_ROWS
        and m * k * n >= WORTH_PACKING
        and x.dtype == y.dtype == out.dtype == np.float32
        and size in x.strides
        and size in y.strides
        and out.strides[1] == size
        and min(*x.strides, *y.strides, *out.strides) > 0
    )


@fused_on_cpu("gemm", pays=_pays)
def matrix_product(x: Array, y: Array, out: Array, add: bool = False, panels: Array | None = None) -> Array:
    """out = x @ y, or out += x @ y.   x (M, K), y (K, N), out (M, N) float.

    In float32 the operands are rounded to bfloat16 where `products_in` says so.  ``panels`` are those of y, for the
    kernel.
    """
    if not add:
        return _product(x, y, out)
    out += _product(x, y, None)
    return out


@fused_on_cpu("gemm", pays=lambda y: y.size > 0 and y.dtype == np.float32 and 4 in y.strides and min(y.strides) > 0)
def panels_of(y: Array) -> Array | None:
    """y (K, N) in the order in which the kernel of `matrix_product` reads it; None where nothing is to be gained."""
    return None


@fused_on_cpu("gemm", pays=lambda x, y, out: _pays(x[0], y[0], out[0]))
def stack_product(x: Array, y: Array, out: Array) -> Array:
    """out = x @ y, matrix by matrix.   x (S, M, K), y (S, K, N), out (S, M, N), S ≥ 1; else as `matrix_product`."""
    return _product(x, y, out)


def symmetric_product(x: Array, y: Array) -> Array:
    """x @ y where each matrix of it is known to be symmetric, as of X Xᵀ.   x (S, M, K), y (S, K, M) -> (S, M, M)."""
    return symmetric_stack_product(x, y, empty((*x.shape[:-1], y.shape[-1]), x.dtype, like=x))


@fused_on_cpu("gemm", pays=lambda x, y, out: _pays(x[0], y[0], out[0]))
def symmetric_stack_product(x: Array, y: Array, out: Array) -> Array:
    """As `stack_product` for `symmetric_product`."""
    return _product(x, y, out)


def _product(x: Array, y: Array, out: Array | None) -> Array:
    if product_dtype() == "bfloat16" and x.dtype == np.float32:
        x, y = round_to_bfloat16(x), round_to_bfloat16(y)
    return array_module(x).matmul(x, y, out=out)


def round_to_bfloat16(x: Array) -> Array:
    """The nearest bfloat16 of each number, ties to even, as float32.   x (...) float32; NaN and infinities stay."""
    bits = x.view(np.uint32)
    is_odd = bits >> np.uint32(16) & np.uint32(1)
    nearest = (bits + np.uint32(0x7FFF) + is_odd) & np.uint32(0xFFFF0000)
    return array_module(x).where(x == x, nearest.view(x.dtype), x)
