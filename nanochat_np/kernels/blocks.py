"""What packing and multiplying consist of: parts that threads may take in any order, or one takes all.

B is packed once for all.  A block of C is summed over parts of K, so that a part of B's panels stays in the
second-level cache; beside it stands the block's part of A, which the thread that needs it puts into order, unless it
lies as it should.
How the parts are shared decides nothing about the order of a sum.
"""

from nanochat_np.backend.jit import njit
from nanochat_np.kernels.micro_kernel import NUMBER
from nanochat_np.kernels.tiles import (
    COLUMNS,
    PANEL_ROW,
    ROWS,
    TILE,
    multiply,
    multiply_panel,
    pairs_of_row,
    panel_of_columns,
    panel_of_rows,
    steps_of,
    whole,
)

BLOCK_ROWS, BLOCK_COLUMNS = 256, 512 // COLUMNS * COLUMNS
_BLOCK_STEPS = 256
_PACKED_STEPS = 64  # of a panel in a part
_WIDTH = TILE.width
ROOM = (BLOCK_ROWS + COLUMNS) * _BLOCK_STEPS  # numbers of four bytes: a block's part of A


@njit
def count_of_parts(steps, n):  # type: ignore[no-untyped-def]
    """Of packing a B (K, N)."""
    return ((steps + _PACKED_STEPS - 1) // _PACKED_STEPS) * ((n + COLUMNS - 1) // COLUMNS)


@njit
def pack_part(number, pairs, by_rows, steps, x, row, k, n, panels):  # type: ignore[no-untyped-def]
    """One part of the panels of B (K, N), which lies by rows or by columns of ``row`` bytes from address ``x``."""
    parts, across = (steps + _PACKED_STEPS - 1) // _PACKED_STEPS, (n + COLUMNS - 1) // COLUMNS
    # In the order of x in memory.
    panel, part = (number % across, number // across) if by_rows else (number // parts, number % parts)
    depth, first = 2 if pairs else 1, part * _PACKED_STEPS
    next_column, next_k = (NUMBER, row) if by_rows else (row, NUMBER)
    place = x + panel * COLUMNS * next_column + first * depth * next_k
    out = panels + (panel * steps + first) * PANEL_ROW
    given = min(_PACKED_STEPS, steps - first), place, row, k - first * depth, n - panel * COLUMNS, out
    if by_rows:
        panel_of_rows(pairs, *given)
    else:
        panel_of_columns(pairs, *given)


@njit
def count_of_blocks(m, n, rows, columns):  # type: ignore[no-untyped-def]
    """Of a C (M, N)."""
    return ((m + rows - 1) // rows) * ((n + columns - 1) // columns)


@njit
def multiply_block(  # type: ignore[no-untyped-def]
    number, pairs, by_rows, is_symmetric, add, a, a_row, b, c, c_row, m, k, n, block_rows, block_columns, room
):
    """One block of C = A B or, if ``add``, C += A B; of a symmetric C the tiles that the diagonal and the right have.

    All places are addresses.  A (M, K) lies by rows or by columns of ``a_row`` bytes, B in panels; ``room`` has ROOM
    numbers for this thread alone.
    """
    across = (n + block_columns - 1) // block_columns
    top, left = number // across * block_rows, number % across * block_columns
    bottom, right = min(m, top + block_rows), min(n, left + block_columns)
    steps, depth = steps_of(pairs, k), 2 if pairs else 1
    for first in range(0, steps, _BLOCK_STEPS):
        count, adds = min(_BLOCK_STEPS, steps - first), 1 if add or first else 0
        taken = first * depth
        row, start = a_row, a + top * a_row + taken * NUMBER  # where rows of A are as they should
        if not by_rows:
            _pack_columns(pairs, count, a + taken * a_row + top * NUMBER, a_row, k - taken, bottom - top, room)
        elif pairs:
            row, start = pair_rows(count, start, a_row, k - taken, bottom - top, room), room
        for i in range(top, bottom, ROWS):
            rows, within = bottom - i, i - top
            panel = room + within // COLUMNS * count * PANEL_ROW + within % COLUMNS * NUMBER
            begin = max(left, i // COLUMNS * COLUMNS) if is_symmetric else left
            for j in range(begin, right, COLUMNS):
                columns = b + (j // COLUMNS * steps + first) * PANEL_ROW
                given = columns, c + i * c_row + j * NUMBER, c_row, n - j, adds
                if by_rows:
                    multiply(pairs, rows, count, start + within * row, row, *given)
                else:
                    multiply_panel(pairs, rows, count, panel, *given)


@njit
def _pack_columns(pairs, steps, a, a_row, depth, rows, room):  # type: ignore[no-untyped-def]
    """Panels of so many rows of an A that lies by columns, the first at address ``a``."""
    for top in range(0, rows, COLUMNS):
        panel = room + top // COLUMNS * steps * PANEL_ROW
        panel_of_rows(pairs, steps, a + top * NUMBER, a_row, depth, rows - top, panel)


@njit
def pair_rows(steps, a, a_row, depth, rows, room):  # type: ignore[no-untyped-def]
    """Rows of A as pairs; returns the bytes of each."""
    steps = whole(steps, _WIDTH)
    for i in range(rows):
        pairs_of_row(steps, a + i * a_row, depth, room + i * steps * NUMBER, a + (i + 2) * a_row)
    return steps * NUMBER


@njit
def mirror(c):  # type: ignore[no-untyped-def]
    """The lower triangle of c (N, N) from the upper, by squares that stay in the cache."""
    for top in range(0, c.shape[0], COLUMNS):
        for left in range(0, top + COLUMNS, COLUMNS):
            for i in range(top, min(top + COLUMNS, c.shape[0])):
                for j in range(left, min(left + COLUMNS, i)):
                    c[i, j] = c[j, i]
