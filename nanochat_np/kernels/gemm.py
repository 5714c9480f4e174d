"""Matrix products of two axes in compiled code (reference: `ops.matmul.matrix_product`).

Both operands are put into the order in which the innermost loop reads them (`packing`), except for rows of float32 that
lie as they are needed.  Then blocks of C are shared among the threads; in a block the sum goes over parts of K, so that
a part of B's panels stays in the second-level cache and a tile's rows of A in the first.  How the blocks are shared
decides nothing about the order of a sum: the result is the same for any number of threads.
"""

import numpy as np
from numba import get_num_threads, prange

from nanochat_np.backend import empty
from nanochat_np.backend.jit import njit
from nanochat_np.backend.products import product_dtype
from nanochat_np.kernels import target
from nanochat_np.kernels.micro_kernel import NUMBER
from nanochat_np.kernels.packing import depth_of_step
from nanochat_np.kernels.tiles import (
    COLUMNS,
    PANEL_ROW,
    ROWS,
    TILE,
    address,
    multiply,
    multiply_pair_panel,
    multiply_pairs,
    multiply_panel,
    pair_panel_of_columns,
    pair_panel_of_rows,
    pairs_of_row,
    panel_of_columns,
    panel_of_rows,
)

_BLOCK_STEPS, _BLOCK_ROWS, _BLOCK_COLUMNS = 256, 256, 512 // COLUMNS * COLUMNS
_PACKED_STEPS = 64  # that a thread packs of a panel at a time
_TASKS = 4  # of each thread, at least, where the blocks can be so small


def matrix_product(x: np.ndarray, y: np.ndarray, out: np.ndarray) -> np.ndarray:
    """As `ops.matmul.matrix_product`."""
    return _matrix_product(x, y, out, is_symmetric=False)


def stack_product(x: np.ndarray, y: np.ndarray, out: np.ndarray) -> np.ndarray:
    """As `ops.matmul.stack_product`."""
    for operands in zip(x, y, out, strict=True):
        _matrix_product(*operands, is_symmetric=False)
    return out


def symmetric_stack_product(x: np.ndarray, y: np.ndarray, out: np.ndarray) -> np.ndarray:
    """As `ops.matmul.symmetric_stack_product`: half of the tiles, and their mirror image."""
    for operands in zip(x, y, out, strict=True):
        _matrix_product(*operands, is_symmetric=True)
    _mirror(out)
    return out


def _matrix_product(x: np.ndarray, y: np.ndarray, out: np.ndarray, is_symmetric: bool) -> np.ndarray:
    (m, k), n = x.shape, y.shape[1]
    pairs = product_dtype() == "bfloat16"
    if not (pairs or target.has_fast_tile()):
        return np.matmul(x, y, out=out)
    steps = -(-k // depth_of_step("bfloat16" if pairs else "float32"))
    packed = x.strides[1] != x.itemsize
    b = _panels(y, steps, pairs)
    if packed:
        a = _panels(x.T, steps, pairs)
    elif pairs:
        a = empty((m, -(-steps // TILE.width) * TILE.width), np.uint32, like=x)
        _pair_all(a.shape[1], address(x), x.strides[0], m, k, address(a))
    else:
        a = x
    block = _block_rows(m, n)
    places = address(a), a.strides[0], address(b), address(out), out.strides[0]
    _multiply(pairs, packed, is_symmetric, steps, *places, m, n, block)
    return out


def _panels(y: np.ndarray, steps: int, pairs: bool) -> np.ndarray:
    """The panels of y (K, N):  (⌈N / columns⌉, steps, columns)."""
    k, n = y.shape
    panels = empty((-(-n // COLUMNS), steps, COLUMNS), np.uint32, like=y)
    by_rows = y.strides[1] == y.itemsize
    _pack(pairs, by_rows, steps, address(y), y.strides[0 if by_rows else 1], k, n, address(panels))
    return panels


def _block_rows(m: int, n: int) -> int:
    """Rows of a block: a multiple of a tile's, fewer where there would be too few blocks for the threads."""
    rows = _BLOCK_ROWS
    while -(-m // rows) * -(-n // _BLOCK_COLUMNS) < _TASKS * get_num_threads() and rows > 4 * ROWS:
        rows //= 2
    return rows


@njit(cache=True, parallel=True, nogil=True)
def _pack(pairs, by_rows, steps, x, row, k, n, panels):  # type: ignore[no-untyped-def]
    depth = 2 if pairs else 1
    parts = (steps + _PACKED_STEPS - 1) // _PACKED_STEPS
    for task in prange(parts * ((n + COLUMNS - 1) // COLUMNS)):
        panel, first = task // parts, task % parts * _PACKED_STEPS
        across, along = (NUMBER, row) if by_rows else (row, NUMBER)
        place = x + panel * COLUMNS * across + first * depth * along
        out = panels + (panel * steps + first) * PANEL_ROW
        given = min(_PACKED_STEPS, steps - first), place, row, k - first * depth, n - panel * COLUMNS, out
        if pairs and by_rows:
            pair_panel_of_rows(*given)
        elif pairs:
            pair_panel_of_columns(*given)
        elif by_rows:
            panel_of_rows(*given)
        else:
            panel_of_columns(*given)


@njit(cache=True, parallel=True, nogil=True)
def _pair_all(steps, x, row, m, k, out):  # type: ignore[no-untyped-def]
    for i in prange(m):
        pairs_of_row(steps, x + i * row, k, out + i * steps * NUMBER)


@njit(cache=True)
def _mirror(c):  # type: ignore[no-untyped-def]
    """The lower triangles from the upper, by squares that stay in the cache."""
    for matrix in range(c.shape[0]):
        for top in range(0, c.shape[1], COLUMNS):
            for left in range(0, top + COLUMNS, COLUMNS):
                for i in range(top, min(top + COLUMNS, c.shape[1])):
                    for j in range(left, min(left + COLUMNS, i)):
                        c[matrix, i, j] = c[matrix, j, i]


@njit(cache=True, parallel=True, nogil=True)
def _multiply(pairs, packed, is_symmetric, steps, a, a_row, b, c, c_row, m, n, block_rows):  # type: ignore[no-untyped-def]
    across = (n + _BLOCK_COLUMNS - 1) // _BLOCK_COLUMNS
    for task in prange(across * ((m + block_rows - 1) // block_rows)):
        top, left = task // across * block_rows, task % across * _BLOCK_COLUMNS
        bottom, right = min(m, top + block_rows), min(n, left + _BLOCK_COLUMNS)
        for first in range(0, steps, _BLOCK_STEPS):
            count, add = min(_BLOCK_STEPS, steps - first), 1 if first else 0
            for i in range(top, bottom, ROWS):
                row = a + i * a_row + first * NUMBER
                panel = a + (i // COLUMNS * steps + first) * PANEL_ROW + i % COLUMNS * NUMBER
                begin = max(left, i // COLUMNS * COLUMNS) if is_symmetric else left
                for j in range(begin, right, COLUMNS):
                    columns = b + (j // COLUMNS * steps + first) * PANEL_ROW
                    place, rows = c + i * c_row + j * NUMBER, bottom - i
                    if pairs and packed:
                        multiply_pair_panel(rows, count, panel, columns, place, c_row, n - j, add)
                    elif pairs:
                        multiply_pairs(rows, count, row, a_row, columns, place, c_row, n - j, add)
                    elif packed:
                        multiply_panel(rows, count, panel, columns, place, c_row, n - j, add)
                    else:
                        multiply(rows, count, row, a_row, columns, place, c_row, n - j, add)
