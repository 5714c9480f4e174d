"""Matrix products of two axes in compiled code (reference: `ops.matmul.matrix_product`).

B is put into the order in which the innermost loop reads it (`packing`).  Then blocks of C are shared among the
threads; the result is the same for any number of them.
"""

import numpy as np
from numba import get_num_threads, prange

from nanochat_np.backend import default_pool, empty
from nanochat_np.backend.jit import njit
from nanochat_np.backend.products import product_dtype
from nanochat_np.kernels import target
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
from nanochat_np.kernels.micro_kernel import NUMBER
from nanochat_np.kernels.tiles import COLUMNS, ROWS, address, steps_of, whole

_SMALLEST = 64  # rows or columns of a block that are still cut
_BLOCKS_OF_SYMMETRIC, _MOST_TO_EVEN = 4, 4  # blocks a thread


def matrix_product(
    x: np.ndarray, y: np.ndarray, out: np.ndarray, add: bool = False, panels: np.ndarray | None = None
) -> np.ndarray:
    """As `ops.matmul.matrix_product`."""
    return _matrix_product(x, y, out, add=add, b=panels)


def panels_of(y: np.ndarray) -> np.ndarray | None:
    """As `ops.matmul.panels_of`."""
    pairs = product_dtype() == "bfloat16"
    return _panels(y, pairs) if pairs or target.has_fast_tile() else None


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
    if b is None:
        b = _panels(y, pairs)
    by_rows = x.strides[1] == x.itemsize
    block = _block(m, n, is_symmetric, by_rows and not pairs)
    lanes = get_num_threads()
    room = default_pool.empty((lanes, ROOM), np.uint32)
    places = address(x), x.strides[0 if by_rows else 1], address(b), address(out), out.strides[0]
    _multiply(lanes, pairs, by_rows, is_symmetric, add, *places, m, k, n, *block, address(room))
    return out


def _panels(y: np.ndarray, pairs: bool) -> np.ndarray:
    """The panels of y (K, N):  (⌈N / columns⌉, steps, columns)."""
    k, n = y.shape
    steps = steps_of(pairs, k)
    panels = empty((-(-n // COLUMNS), steps, COLUMNS), np.uint32, like=y)
    by_rows = y.strides[1] == y.itemsize
    _pack(pairs, by_rows, steps, address(y), y.strides[0 if by_rows else 1], k, n, address(panels))
    return panels


def _block(m: int, n: int, is_symmetric: bool, a_is_direct: bool) -> tuple[int, int]:
    """Rows and columns of a block, multiples of a tile's, such that all threads have about the same to do.

    What a block reads of A and B goes with its rows and columns, so the longer side is cut; but where A has to be put
    into order, every block across does so again.
    """
    threads = get_num_threads()
    least = _BLOCKS_OF_SYMMETRIC * threads if is_symmetric else threads  # its blocks are not of one size
    down, across = -(-m // BLOCK_ROWS), -(-n // BLOCK_COLUMNS)
    while (blocks := down * across) < least or (blocks % threads and blocks < _MOST_TO_EVEN * threads):
        if m > _SMALLEST * down and (m * across >= n * down or not a_is_direct):
            down += 1
        elif n > _SMALLEST * across:
            across += 1
        else:
            break
    return whole(-(-m // down), ROWS), whole(-(-n // across), COLUMNS)


@njit(cache=True, parallel=True, nogil=True)
def _pack(pairs, by_rows, steps, x, row, k, n, panels):  # type: ignore[no-untyped-def]
    for number in prange(count_of_parts(steps, n)):
        pack_part(number, pairs, by_rows, steps, x, row, k, n, panels)


@njit(cache=True, parallel=True, nogil=True)
def _multiply(  # type: ignore[no-untyped-def]
    lanes, pairs, by_rows, is_symmetric, add, a, a_row, b, c, c_row, m, k, n, rows, columns, room
):
    for lane in prange(lanes):
        own, given = room + lane * ROOM * NUMBER, (pairs, by_rows, is_symmetric, add, a, a_row, b, c, c_row, m, k, n)
        for number in range(lane, count_of_blocks(m, n, rows, columns), lanes):
            multiply_block(number, *given, rows, columns, own)


@njit(cache=True, parallel=True, nogil=True)
def _mirror(stack):  # type: ignore[no-untyped-def]
    for matrix in prange(stack.shape[0]):
        mirror(stack[matrix])
