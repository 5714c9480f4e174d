"""The tiles and panels of this CPU, for compiled code: what matrix products and attention are made of."""

import numpy as np
from numba.extending import register_jitable

from nanochat_np.backend.jit import njit
from nanochat_np.kernels import target
from nanochat_np.kernels.micro_kernel import NUMBER, Tile, micro_kernel
from nanochat_np.kernels.packing import pack_columns, pack_rows, pair_row

TILE = target.tile()
ROWS, COLUMNS = TILE.rows, TILE.columns
PANEL_ROW = NUMBER * COLUMNS  # bytes from a step of a panel to the next

_ONE_ROW, _PAIRS = Tile(1, TILE.vectors, TILE.width), target.bfloat16_kind()
_float_rows, _float_row = (micro_kernel("float32", tile, a_is_packed=False) for tile in (TILE, _ONE_ROW))
_float_panel, _float_panel_row = (micro_kernel("float32", tile, a_is_packed=True) for tile in (TILE, _ONE_ROW))
_pair_rows, _pair_row = (micro_kernel(_PAIRS, tile, a_is_packed=False) for tile in (TILE, _ONE_ROW))
_pair_panel, _pair_panel_row = (micro_kernel(_PAIRS, tile, a_is_packed=True) for tile in (TILE, _ONE_ROW))

# See `packing`.
_rows_of_floats, _columns_of_floats = (pack("float32", TILE) for pack in (pack_rows, pack_columns))
_rows_of_pairs, _columns_of_pairs = (pack("bfloat16", TILE) for pack in (pack_rows, pack_columns))
pairs_of_row = pair_row(TILE.width)


def address(x: np.ndarray) -> int:
    """Of an array's first number, as compiled code takes it; the array must be kept until it is done."""
    found: int = x.__array_interface__["data"][0]
    return found


@register_jitable
def whole(count, of):  # type: ignore[no-untyped-def]
    """The multiple of ``of`` that ``count`` fits into."""
    return (count + of - 1) // of * of


@register_jitable
def steps_of(pairs, depth):  # type: ignore[no-untyped-def]
    """Of a sum over so many k.   ``pairs``: of bfloat16, here and below; otherwise of float32."""
    return (depth + 1) // 2 if pairs else depth


@njit
def panel_of_rows(pairs, steps, x, row, depth, columns, panel):  # type: ignore[no-untyped-def]
    """See `packing.pack_rows`."""
    if pairs:
        _rows_of_pairs(steps, x, row, depth, columns, panel)
    else:
        _rows_of_floats(steps, x, row, depth, columns, panel)


@njit
def panel_of_columns(pairs, steps, x, row, depth, columns, panel):  # type: ignore[no-untyped-def]
    """See `packing.pack_columns`."""
    if pairs:
        _columns_of_pairs(steps, x, row, depth, columns, panel)
    else:
        _columns_of_floats(steps, x, row, depth, columns, panel)


@njit
def multiply(pairs, rows, steps, a, a_row, b, c, c_row, columns, add):  # type: ignore[no-untyped-def]
    """A tile of which C has ``rows`` rows; ``a`` has its steps after each other.  See `micro_kernel`."""
    if rows >= ROWS and pairs:
        _pair_rows(steps, a, a_row, b, c, c_row, columns, add)
    elif rows >= ROWS:
        _float_rows(steps, a, a_row, b, c, c_row, columns, add)
    elif pairs:
        for r in range(rows):
            _pair_row(steps, a + r * a_row, a_row, b, c + r * c_row, c_row, columns, add)
    else:
        for r in range(rows):
            _float_row(steps, a + r * a_row, a_row, b, c + r * c_row, c_row, columns, add)


@njit
def multiply_panel(pairs, rows, steps, a, b, c, c_row, columns, add):  # type: ignore[no-untyped-def]
    """The same with ``a`` in a panel."""
    if rows >= ROWS and pairs:
        _pair_panel(steps, a, 0, b, c, c_row, columns, add)
    elif rows >= ROWS:
        _float_panel(steps, a, 0, b, c, c_row, columns, add)
    elif pairs:
        for r in range(rows):
            _pair_panel_row(steps, a + r * NUMBER, 0, b, c + r * c_row, c_row, columns, add)
    else:
        for r in range(rows):
            _float_panel_row(steps, a + r * NUMBER, 0, b, c + r * c_row, c_row, columns, add)
