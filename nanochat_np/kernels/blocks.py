"""What packing and multiplying consist of: parts that threads may take in any order, or one takes all.

A block of C is summed over parts of K, so that a part of B's panels stays in the second-level cache and a tile's rows
of A in the first.  How the parts are shared decides nothing about the order of a sum.
"""

from nanochat_np.backend.jit import njit
from nanochat_np.kernels.micro_kernel import NUMBER
from nanochat_np.kernels.tiles import (
    COLUMNS,
    PANEL_ROW,
    ROWS,
    multiply,
    multiply_pair_panel,
    multiply_pairs,
    multiply_panel,
    pair_panel_of_columns,
    pair_panel_of_rows,
    panel_of_columns,
    panel_of_rows,
)

BLOCK_ROWS, BLOCK_COLUMNS = 256, 512 // COLUMNS * COLUMNS
_BLOCK_STEPS = 256
_PACKED_STEPS = 64  # of a panel in a part


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
    if pairs and by_rows:
        pair_panel_of_rows(*given)
    elif pairs:
        pair_panel_of_columns(*given)
    elif by_rows:
        panel_of_rows(*given)
    else:
        panel_of_columns(*given)


@njit
def count_of_blocks(m, n, rows, columns):  # type: ignore[no-untyped-def]
    """Of a C (M, N)."""
    return ((m + rows - 1) // rows) * ((n + columns - 1) // columns)


@njit
def multiply_block(  # type: ignore[no-untyped-def]
    number, pairs, packed, is_symmetric, add, steps, a, a_row, b, c, c_row, m, n, block_rows, block_columns
):
    """One block of C = A B or, if ``add``, C += A B; of a symmetric C the tiles that the diagonal and the right have.

    All places are addresses; ``packed``: A is in panels too, else in rows of ``a_row`` bytes.
    """
    blocks, across = count_of_blocks(m, n, block_rows, block_columns), (n + block_columns - 1) // block_columns
    # Of a symmetric C the first blocks are the longest.
    block = blocks - 1 - number // 2 if number % 2 else number // 2
    top, left = block // across * block_rows, block % across * block_columns
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


@njit
def mirror(c):  # type: ignore[no-untyped-def]
    """The lower triangle of c (N, N) from the upper, by squares that stay in the cache."""
    for top in range(0, c.shape[0], COLUMNS):
        for left in range(0, top + COLUMNS, COLUMNS):
            for i in range(top, min(top + COLUMNS, c.shape[0])):
                for j in range(left, min(left + COLUMNS, i)):
                    c[i, j] = c[j, i]
