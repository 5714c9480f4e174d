"""Matrix products of two axes in compiled code (reference: `ops.matmul.matrix_product`).

Both operands are put into the order in which the innermost loop reads them (`packing`), except for rows of float32 that
lie as they are needed.  Then blocks of C are shared among the threads; the result is the same for any number of them.
"""

import numpy as np
from numba import get_num_threads, prange

from nanochat_np.backend import empty
from nanochat_np.backend.jit import njit
from nanochat_np.backend.products import product_dtype
from nanochat_np.kernels import target
from nanochat_np.kernels.blocks import (
    BLOCK_COLUMNS,
    BLOCK_ROWS,
    count_of_blocks,
    count_of_parts,
    mirror,
    multiply_block,
    pack_part,
)
from nanochat_np.kernels.micro_kernel import NUMBER
from nanochat_np.kernels.packing import depth_of_step
from nanochat_np.kernels.tiles import COLUMNS, ROWS, TILE, address, pairs_of_row

_TASKS, _SMALLEST = 2, 64  # blocks of each thread, at least, where they can be so small


def matrix_product(
    x: np.ndarray, y: np.ndarray, out: np.ndarray, add: bool = False, panels: np.ndarray | None = None
) -> np.ndarray:
    """As `ops.matmul.matrix_product`."""
    return _matrix_product(x, y, out, add=add, b=panels)


def panels_of(y: np.ndarray) -> np.ndarray | None:
    """As `ops.matmul.panels_of`."""
    pairs = product_dtype() == "bfloat16"
    return _panels(y, _steps(len(y), pairs), pairs) if pairs or target.has_fast_tile() else None


def stack_product(x: np.ndarray, y: np.ndarray, out: np.ndarray) -> np.ndarray:
    """As `ops.matmul.stack_product`."""
    for operands in zip(x, y, out, strict=True):
        _matrix_product(*operands)
    return out


def symmetric_stack_product(x: np.ndarray, y: np.ndarray, out: np.ndarray) -> np.ndarray:
    """As `ops.matmul.symmetric_stack_product`: half of the tiles, and their mirror image."""
    for operands in zip(x, y, out, strict=True):
        _matrix_product(*operands, is_symmetric=True)
    _mirror(out)
    return out


def _matrix_product(
    x: np.ndarray,
    y: np.ndarray,
    out: np.ndarray,
    *,
    is_symmetric: bool = False,
    add: bool = False,
    b: np.ndarray | None = None,
) -> np.ndarray:
    """``b`` are the panels of y, where they are there already."""
    (m, k), n = x.shape, y.shape[1]
    pairs = product_dtype() == "bfloat16"
    if not (pairs or target.has_fast_tile()):
        return np.add(out, x @ y, out=out) if add else np.matmul(x, y, out=out)
    steps = _steps(k, pairs)
    packed = x.strides[1] != x.itemsize
    if b is None:
        b = _panels(y, steps, pairs)
    if packed:
        a = _panels(x.T, steps, pairs)
    elif pairs:
        a = empty((m, -(-steps // TILE.width) * TILE.width), np.uint32, like=x)
        _pair_all(a.shape[1], address(x), x.strides[0], m, k, address(a))
    else:
        a = x
    places = address(a), a.strides[0], address(b), address(out), out.strides[0]
    _multiply(pairs, packed, is_symmetric, add, steps, *places, m, n, *_block(m, n))
    return out


def _steps(k: int, pairs: bool) -> int:
    return -(-k // depth_of_step("bfloat16" if pairs else "float32"))


def _panels(y: np.ndarray, steps: int, pairs: bool) -> np.ndarray:
    """The panels of y (K, N):  (⌈N / columns⌉, steps, columns)."""
    k, n = y.shape
    panels = empty((-(-n // COLUMNS), steps, COLUMNS), np.uint32, like=y)
    by_rows = y.strides[1] == y.itemsize
    _pack(pairs, by_rows, steps, address(y), y.strides[0 if by_rows else 1], k, n, address(panels))
    return panels


def _block(m: int, n: int) -> tuple[int, int]:
    """Rows and columns of a block, multiples of a tile's, such that the threads have enough blocks of about one size.

    It is the longer side that is cut, since what a block reads of A and B goes with its rows and columns.
    """
    down, across = -(-m // BLOCK_ROWS), -(-n // BLOCK_COLUMNS)
    while down * across < _TASKS * get_num_threads() and (m > _SMALLEST * down or n > _SMALLEST * across):
        if m * across > n * down:
            down *= 2
        else:
            across *= 2
    return -(-m // (down * ROWS)) * ROWS, -(-n // (across * COLUMNS)) * COLUMNS


@njit(cache=True, parallel=True, nogil=True)
def _pack(pairs, by_rows, steps, x, row, k, n, panels):  # type: ignore[no-untyped-def]
    for number in prange(count_of_parts(steps, n)):
        pack_part(number, pairs, by_rows, steps, x, row, k, n, panels)


@njit(cache=True, parallel=True, nogil=True)
def _pair_all(steps, x, row, m, k, out):  # type: ignore[no-untyped-def]
    for i in prange(m):
        pairs_of_row(steps, x + i * row, k, out + i * steps * NUMBER)


@njit(cache=True, parallel=True, nogil=True)
def _multiply(pairs, packed, is_symmetric, add, steps, a, a_row, b, c, c_row, m, n, block_rows, block_columns):  # type: ignore[no-untyped-def]
    for number in prange(count_of_blocks(m, n, block_rows, block_columns)):
        multiply_block(
            number, pairs, packed, is_symmetric, add, steps, a, a_row, b, c, c_row, m, n, block_rows, block_columns
        )


@njit(cache=True, parallel=True, nogil=True)
def _mirror(stack):  # type: ignore[no-untyped-def]
    for matrix in prange(stack.shape[0]):
        mirror(stack[matrix])
