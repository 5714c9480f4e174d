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
    down, across = -(-m // _BLOCK_ROWS), -(-n // _BLOCK_COLUMNS)
    while down * across < _TASKS * get_num_threads() and (m > _SMALLEST * down or n > _SMALLEST * across):
        if m * across > n * down:
            down *= 2
        else:
            across *= 2
    return -(-m // (down * ROWS)) * ROWS, -(-n // (across * COLUMNS)) * COLUMNS


@njit(cache=True, parallel=True, nogil=True)
def _pack(pairs, by_rows, steps, x, row, k, n, panels):  # type: ignore[no-untyped-def]
    depth = 2 if pairs else 1
    parts = (steps + _PACKED_STEPS - 1) // _PACKED_STEPS
    count = (n + COLUMNS - 1) // COLUMNS
    for task in prange(parts * count):  # in the order of x in memory
        panel, part = (task % count, task // count) if by_rows else (task // parts, task % parts)
        first = part * _PACKED_STEPS
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
def _multiply(pairs, packed, is_symmetric, add, steps, a, a_row, b, c, c_row, m, n, block_rows, block_columns):  # type: ignore[no-untyped-def]
    across = (n + block_columns - 1) // block_columns
    tasks = across * ((m + block_rows - 1) // block_rows)
    for number in prange(tasks):
        task = tasks - 1 - number // 2 if number % 2 else number // 2  # of a symmetric C the first are the longest
        top, left = task // across * block_rows, task % across * block_columns
        bottom, right = min(m, top + block_rows), min(n, left + block_columns)
        for first in range(0, steps, _BLOCK_STEPS):
            count, adds = min(_BLOCK_STEPS, steps - first), 1 if add or first else 0
            for i in range(top, bottom, ROWS):
                row = a + i * a_row + first * NUMBER
                panel = a + (i // COLUMNS * steps + first) * PANEL_ROW + i % COLUMNS * NUMBER
                begin = max(left, i // COLUMNS * COLUMNS) if is_symmetric else left
                for j in range(begin, right, COLUMNS):
                    columns = b + (j // COLUMNS * steps + first) * PANEL_ROW
                    place, rows = c + i * c_row + j * NUMBER, bottom - i
                    if pairs and packed:
                        multiply_pair_panel(rows, count, panel, columns, place, c_row, n - j, adds)
                    elif pairs:
                        multiply_pairs(rows, count, row, a_row, columns, place, c_row, n - j, adds)
                    elif packed:
                        multiply_panel(rows, count, panel, columns, place, c_row, n - j, adds)
                    else:
                        multiply(rows, count, row, a_row, columns, place, c_row, n - j, adds)
