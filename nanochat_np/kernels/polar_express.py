"""Muon's orthogonalization of a stack, each matrix by one thread from beginning to end (reference: `optim.muon`).

The products of one matrix are too small to be shared well, and a matrix on its way stays in one core's cache.
"""

import numpy as np
from numba import get_num_threads, prange

from nanochat_np.backend import empty
from nanochat_np.backend.jit import njit
from nanochat_np.backend.products import product_dtype
from nanochat_np.kernels import reference, target
from nanochat_np.kernels.blocks import (
    BLOCK_COLUMNS,
    BLOCK_ROWS,
    ROOM,
    count_of_blocks,
    count_of_parts,
    mirror,
    multiply_block,
    pack_part,
)
from nanochat_np.kernels.tiles import COLUMNS, steps_of, whole

_SUMS = {"reassoc", "contract"}


def polar_express(u: np.ndarray, polynomials: tuple[tuple[float, float, float], ...], tiny: float) -> np.ndarray:
    """As `optim.muon.polar_express`, in float32."""
    pairs, (count, rows, columns) = product_dtype() == "bfloat16", u.shape
    threads = get_num_threads()
    if 2 * count < threads or not (pairs or target.has_fast_tile()):
        return reference("polar_express")(u, polynomials, tiny)
    least, lanes = min(rows, columns), min(threads, count)
    panels = max(whole(least, COLUMNS) * max(rows, columns), whole(columns, COLUMNS) * least)
    shapes = (rows, columns), (2, least, least), (panels,), (ROOM,)
    x, *spaces = (empty(shape, u.dtype, like=u) for shape in (u.shape, *((lanes, *shape) for shape in shapes)))
    _share(u, x, np.array(polynomials, u.dtype), u.dtype.type(tiny), pairs, *spaces)
    return x


# A thread has the matrices of a lane, with room for what lies between two products.
@njit(cache=True, parallel=True, nogil=True)
def _share(u, x, polynomials, tiny, pairs, other, squares, panels, room):  # type: ignore[no-untyped-def]
    lanes = other.shape[0]
    for lane in prange(lanes):
        for k in range(lane, u.shape[0], lanes):
            _orthogonalize(u[k], x[k], polynomials, tiny, pairs, other[lane], squares[lane], panels[lane], room[lane])


@njit(fastmath=_SUMS, error_model="numpy")
def _orthogonalize(u, x, polynomials, tiny, pairs, y, squares, panels, room):  # type: ignore[no-untyped-def]
    """Of one u (m, n), into x; y is as large, ``squares`` (2, k, k) for X Xᵀ and what is made of it."""
    _scale_rows(u, x, tiny)
    s, q = squares[0], squares[1]
    source, into = x, y
    for number in range(polynomials.shape[0]):
        a, b, c = polynomials[number]
        _product_with_itself(pairs, source, s, panels, room)
        _product(pairs, True, s, s, q, panels, room)
        mirror(q)
        for i in range(s.shape[0]):
            for j in range(s.shape[0]):
                q[i, j] = c * q[i, j] + b * s[i, j]
            q[i, i] += a
        if x.shape[0] > x.shape[1]:
            _product(pairs, False, source, q, into, panels, room)
        else:
            _product(pairs, False, q, source, into, panels, room)
        source, into = into, source
    _scale_to_norm(source, x, tiny)


@njit(fastmath=_SUMS, error_model="numpy")
def _scale_rows(u, x, tiny):  # type: ignore[no-untyped-def]
    """x = u with rows of one length and a norm just below 1."""
    zero, rows = u.dtype.type(0), u.dtype.type(u.shape[0])
    total = zero
    for i in range(u.shape[0]):
        total += _square_sum(u[i])
    mean = np.sqrt(total / rows)
    total = zero
    for i in range(u.shape[0]):
        of_row = _square_sum(u[i])
        equal = mean / max(np.sqrt(of_row), tiny)
        x[i, 0] = equal
        total += of_row * equal * equal
    scale = u.dtype.type(1) / (u.dtype.type(1.01) * np.sqrt(total) + tiny)
    for i in range(u.shape[0]):
        factor = x[i, 0] * scale
        for j in range(u.shape[1]):
            x[i, j] = factor * u[i, j]


@njit(fastmath=_SUMS)
def _square_sum(x):  # type: ignore[no-untyped-def]
    total = x.dtype.type(0)
    for i in range(x.size):
        total += x[i] * x[i]
    return total


@njit(fastmath=_SUMS, error_model="numpy")
def _scale_to_norm(source, x, tiny):  # type: ignore[no-untyped-def]
    """x = source with a norm of √min(m, n)."""
    total = x.dtype.type(0)
    for i in range(x.shape[0]):
        total += _square_sum(source[i])
    factor = np.sqrt(x.dtype.type(min(x.shape))) / max(np.sqrt(total), tiny)
    for i in range(x.shape[0]):
        for j in range(x.shape[1]):
            x[i, j] = factor * source[i, j]


@njit
def _product_with_itself(pairs, x, s, panels, room):  # type: ignore[no-untyped-def]
    """s = x xᵀ, or xᵀ x where that is smaller."""
    rows, columns = x.shape
    is_tall = rows > columns
    if is_tall:
        _pack(pairs, True, x, rows, columns, panels)
    else:
        _pack(pairs, False, x, columns, rows, panels)
    _multiply(pairs, not is_tall, True, x, max(rows, columns), s, panels, room)
    mirror(s)


@njit
def _product(pairs, is_symmetric, x, y, c, panels, room):  # type: ignore[no-untyped-def]
    """c = x y; of a symmetric c the upper triangle."""
    _pack(pairs, True, y, y.shape[0], y.shape[1], panels)
    _multiply(pairs, True, is_symmetric, x, y.shape[0], c, panels, room)


@njit
def _pack(pairs, by_rows, y, k, n, panels):  # type: ignore[no-untyped-def]
    """Panels of B (K, N), which is y or, if not ``by_rows``, its transpose."""
    steps = steps_of(pairs, k)
    for number in range(count_of_parts(steps, n)):
        pack_part(number, pairs, by_rows, steps, y.ctypes.data, y.strides[0], k, n, panels.ctypes.data)


@njit
def _multiply(pairs, by_rows, is_symmetric, x, k, c, panels, room):  # type: ignore[no-untyped-def]
    """c = A B where A (M, K) is x or, if not ``by_rows``, its transpose, and B is in the panels."""
    (m, n), block = c.shape, (BLOCK_ROWS, BLOCK_COLUMNS)
    places = x.ctypes.data, x.strides[0], panels.ctypes.data, c.ctypes.data, c.strides[0]
    for number in range(count_of_blocks(m, n, *block)):
        multiply_block(number, pairs, by_rows, is_symmetric, False, *places, m, k, n, *block, room.ctypes.data)
