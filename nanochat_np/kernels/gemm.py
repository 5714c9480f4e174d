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
from nanochat_np.kernels.micro_kernel import NUMBER, Tile, micro_kernel
from nanochat_np.kernels.packing import depth_of_step, pack_columns, pack_rows, pair_row

TILE = target.tile()
_ROWS, _COLUMNS, _PANEL_ROW = TILE.rows, TILE.columns, NUMBER * TILE.columns
_BLOCK_STEPS, _BLOCK_ROWS, _BLOCK_COLUMNS = 256, 256, 512 // _COLUMNS * _COLUMNS
_PACKED_STEPS = 64  # that a thread packs of a panel at a time
_TASKS = 4  # of each thread, at least, where the blocks can be so small

_ONE_ROW, _PAIRS = Tile(1, TILE.vectors, TILE.width), target.bfloat16_kind()
_float_rows, _float_row = (micro_kernel("float32", tile, a_is_packed=False) for tile in (TILE, _ONE_ROW))
_float_panel, _float_panel_row = (micro_kernel("float32", tile, a_is_packed=True) for tile in (TILE, _ONE_ROW))
_pair_rows, _pair_row = (micro_kernel(_PAIRS, tile, a_is_packed=False) for tile in (TILE, _ONE_ROW))
_pair_panel, _pair_panel_row = (micro_kernel(_PAIRS, tile, a_is_packed=True) for tile in (TILE, _ONE_ROW))
_pack_float_rows, _pack_float_columns = (pack("float32", TILE) for pack in (pack_rows, pack_columns))
_pack_pair_rows, _pack_pair_columns = (pack("bfloat16", TILE) for pack in (pack_rows, pack_columns))
_pack_pairs = pair_row(TILE.width)


def matrix_product(x: np.ndarray, y: np.ndarray, out: np.ndarray) -> np.ndarray:
    """As `ops.matmul.matrix_product`."""
    (m, k), n = x.shape, y.shape[1]
    pairs = product_dtype() == "bfloat16"
    steps = -(-k // depth_of_step("bfloat16" if pairs else "float32"))
    packed = x.strides[1] != x.itemsize
    b = _panels(y, steps, pairs)
    if packed:
        a = _panels(x.T, steps, pairs)
    elif pairs:
        a = empty((m, -(-steps // TILE.width) * TILE.width), np.uint32, like=x)
        _pair_all(a.shape[1], _address(x), x.strides[0], m, k, _address(a))
    else:
        a = x
    block = _block_rows(m, n)
    places = _address(a), a.strides[0], _address(b), _address(out), out.strides[0]
    _multiply(pairs, packed, steps, *places, m, n, block)
    return out


def _panels(y: np.ndarray, steps: int, pairs: bool) -> np.ndarray:
    """The panels of y (K, N):  (⌈N / columns⌉, steps, columns)."""
    k, n = y.shape
    panels = empty((-(-n // _COLUMNS), steps, _COLUMNS), np.uint32, like=y)
    by_rows = y.strides[1] == y.itemsize
    _pack(pairs, by_rows, steps, _address(y), y.strides[0 if by_rows else 1], k, n, _address(panels))
    return panels


def _block_rows(m: int, n: int) -> int:
    """Rows of a block: a multiple of a tile's, fewer where there would be too few blocks for the threads."""
    rows = _BLOCK_ROWS
    while -(-m // rows) * -(-n // _BLOCK_COLUMNS) < _TASKS * get_num_threads() and rows > 4 * _ROWS:
        rows //= 2
    return rows


def _address(x: np.ndarray) -> int:
    address: int = x.__array_interface__["data"][0]
    return address


@njit(cache=True, parallel=True, nogil=True)
def _pack(pairs, by_rows, steps, x, row, k, n, panels):  # type: ignore[no-untyped-def]
    depth = 2 if pairs else 1
    parts = (steps + _PACKED_STEPS - 1) // _PACKED_STEPS
    for task in prange(parts * ((n + _COLUMNS - 1) // _COLUMNS)):
        panel, first = task // parts, task % parts * _PACKED_STEPS
        across, along = (NUMBER, row) if by_rows else (row, NUMBER)
        place = x + panel * _COLUMNS * across + first * depth * along
        out = panels + (panel * steps + first) * _PANEL_ROW
        given = min(_PACKED_STEPS, steps - first), place, row, k - first * depth, n - panel * _COLUMNS, out
        if pairs and by_rows:
            _pack_pair_rows(*given)
        elif pairs:
            _pack_pair_columns(*given)
        elif by_rows:
            _pack_float_rows(*given)
        else:
            _pack_float_columns(*given)


@njit(cache=True, parallel=True, nogil=True)
def _pair_all(steps, x, row, m, k, out):  # type: ignore[no-untyped-def]
    for i in prange(m):
        _pack_pairs(steps, x + i * row, k, out + i * steps * NUMBER)


@njit(cache=True, parallel=True, nogil=True)
def _multiply(pairs, packed, steps, a, a_row, b, c, c_row, m, n, block_rows):  # type: ignore[no-untyped-def]
    across = (n + _BLOCK_COLUMNS - 1) // _BLOCK_COLUMNS
    for task in prange(across * ((m + block_rows - 1) // block_rows)):
        top, left = task // across * block_rows, task % across * _BLOCK_COLUMNS
        bottom, right = min(m, top + block_rows), min(n, left + _BLOCK_COLUMNS)
        for first in range(0, steps, _BLOCK_STEPS):
            count, add = min(_BLOCK_STEPS, steps - first), 1 if first else 0
            for i in range(top, bottom, _ROWS):
                if packed:
                    rows, row = a + (i // _COLUMNS * steps + first) * _PANEL_ROW + i % _COLUMNS * NUMBER, NUMBER
                else:
                    rows, row = a + i * a_row + first * NUMBER, a_row
                for j in range(left, right, _COLUMNS):
                    panel = b + (j // _COLUMNS * steps + first) * _PANEL_ROW
                    place = c + i * c_row + j * NUMBER
                    if i + _ROWS <= bottom:
                        _tile(pairs, packed, count, rows, row, panel, place, c_row, n - j, add)
                    else:
                        for r in range(bottom - i):
                            _tile_row(
                                pairs, packed, count, rows + r * row, row, panel, place + r * c_row, c_row, n - j, add
                            )


@njit
def _tile(pairs, packed, steps, a, a_row, b, c, c_row, columns, add):  # type: ignore[no-untyped-def]
    if pairs and packed:
        _pair_panel(steps, a, a_row, b, c, c_row, columns, add)
    elif pairs:
        _pair_rows(steps, a, a_row, b, c, c_row, columns, add)
    elif packed:
        _float_panel(steps, a, a_row, b, c, c_row, columns, add)
    else:
        _float_rows(steps, a, a_row, b, c, c_row, columns, add)


@njit
def _tile_row(pairs, packed, steps, a, a_row, b, c, c_row, columns, add):  # type: ignore[no-untyped-def]
    if pairs and packed:
        _pair_panel_row(steps, a, a_row, b, c, c_row, columns, add)
    elif pairs:
        _pair_row(steps, a, a_row, b, c, c_row, columns, add)
    elif packed:
        _float_panel_row(steps, a, a_row, b, c, c_row, columns, add)
    else:
        _float_row(steps, a, a_row, b, c, c_row, columns, add)
