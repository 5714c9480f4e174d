"""Operands of a matrix product in the order in which `micro_kernel` reads them: panels, and pairs of bfloat16.

A panel holds, step after step, the numbers of as many columns of B as a tile has; beyond B's edges it holds 0.  Pairs
of bfloat16 are rounded to the nearest, ties to even.
"""

from typing import Any

from llvmlite import ir

from nanochat_np.kernels.llvm import (
    F32,
    I32,
    Values,
    constant,
    everywhere,
    function_of_int64,
    lanes_below,
    loop,
    masked_load,
    plus,
    pointer,
    prefetch,
    shuffled,
    splat,
    store,
    vector,
)
from nanochat_np.kernels.micro_kernel import CACHE_LINE, NUMBER, Kind, Tile

_FLOAT = 4  # bytes of what is read
_AHEAD = 8  # steps: the rows of a large array are far from each other, and the CPU does not foresee them


def depth_of_step(kind: Kind) -> int:
    """How many k a step has."""
    return 1 if kind == "float32" else 2


def pack_rows(kind: Kind, tile: Tile) -> Any:
    """A panel of B (K, N):  (steps, x, row, depth, columns, panel), all int64.

    ``x`` is the address of the panel's first number in B, ``row`` the bytes from a row of B to the next; from there on
    B has ``depth`` rows and ``columns`` columns.
    """

    def write(builder: ir.IRBuilder, arguments: Values) -> None:
        steps, x, row, depth, columns, panel = arguments
        x, panel = pointer(builder, x), pointer(builder, panel)
        width, taken = tile.width, depth_of_step(kind)
        masks = [lanes_below(builder, columns, j * width, width) for j in range(tile.vectors)]

        def step(state: Values) -> Values:
            x, depth, panel = state
            for j, mask in enumerate(masks):
                offset = NUMBER * width * j
                lines = [_line(builder, plus(builder, x, offset), mask)]
                if taken == 2:
                    below = builder.and_(mask, splat(builder, builder.icmp_signed(">", depth, constant(1)), width))
                    lines.append(_line(builder, plus(builder, plus(builder, x, offset), row), below))
                store(builder, _numbers(builder, lines), plus(builder, panel, offset))
            for number in range(taken):
                there = plus(builder, x, builder.mul(row, constant(_AHEAD * taken + number)))
                for offset in range(0, NUMBER * tile.columns, CACHE_LINE):
                    prefetch(builder, plus(builder, there, offset))
            return [
                plus(builder, x, builder.mul(row, constant(taken))),
                builder.sub(depth, constant(taken)),
                plus(builder, panel, NUMBER * tile.columns),
            ]

        loop(builder, steps, [x, depth, panel], step)

    return function_of_int64(f"pack_rows_{_stored(kind)}_{tile.vectors}x{tile.width}", 6, write)


def pack_columns(kind: Kind, tile: Tile) -> Any:
    """A panel of B given by its transpose (N, K):  (steps, x, row, depth, columns, panel), all int64.

    As `pack_rows`, except that ``row`` is the bytes from a column of B to the next.
    """

    def write(builder: ir.IRBuilder, arguments: Values) -> None:
        steps, x, row, depth, columns, panel = arguments
        x, panel = pointer(builder, x), pointer(builder, panel)
        width, taken = tile.width, depth_of_step(kind)

        def square(state: Values, kept: int) -> Values:
            """Squares of ``width`` columns and as many steps, of which ``kept`` are stored."""
            x, depth, panel = state
            for first in range(0, tile.columns, width):
                read = []
                for column in range(first, first + width):
                    exists = builder.icmp_signed(">", columns, constant(column))
                    place = plus(builder, x, builder.mul(row, constant(column)))
                    left = builder.select(exists, depth, constant(0))
                    for offset in range(0, _FLOAT * taken * width, CACHE_LINE):
                        prefetch(builder, plus(builder, place, _FLOAT * taken * width + offset))
                    read.append(_steps_of_line(builder, kind, place, left, width))
                for number, line in enumerate(_transposed(builder, read)[:kept]):
                    store(builder, line, plus(builder, panel, NUMBER * (number * tile.columns + first)))
            return [
                plus(builder, x, _FLOAT * taken * kept),
                builder.sub(depth, constant(taken * kept)),
                plus(builder, panel, NUMBER * tile.columns * kept),
            ]

        state = loop(builder, builder.udiv(steps, constant(width)), [x, depth, panel], lambda s: square(s, width))
        loop(builder, builder.urem(steps, constant(width)), state, lambda s: square(s, 1))

    return function_of_int64(f"pack_columns_{_stored(kind)}_{tile.vectors}x{tile.width}", 6, write)


def pair_row(width: int) -> Any:
    """A row of A as pairs of bfloat16:  (steps, x, depth, out, next), all int64; ``steps`` is a multiple of ``width``.

    ``next`` is the address of what will be read soon after.
    """

    def write(builder: ir.IRBuilder, arguments: Values) -> None:
        steps, x, depth, out, following = arguments
        x, out, following = (pointer(builder, address) for address in (x, out, following))

        def some(state: Values) -> Values:
            x, depth, out, following = state
            for offset in range(0, 2 * _FLOAT * width, CACHE_LINE):
                prefetch(builder, plus(builder, following, offset))
            store(builder, _steps_of_line(builder, "bfloat16", x, depth, width), out)
            return [
                plus(builder, x, 2 * _FLOAT * width),
                builder.sub(depth, constant(2 * width)),
                plus(builder, out, NUMBER * width),
                plus(builder, following, 2 * _FLOAT * width),
            ]

        loop(builder, builder.udiv(steps, constant(width)), [x, depth, out, following], some)

    return function_of_int64(f"pair_row_{width}", 5, write)


def _stored(kind: Kind) -> str:
    return kind.removesuffix("_dot")


def _line(builder: ir.IRBuilder, place: ir.Value, mask: ir.Value) -> ir.Value:
    return masked_load(builder, place, mask, vector(I32, mask.type.count))


def _steps_of_line(builder: ir.IRBuilder, kind: Kind, place: ir.Value, depth: ir.Value, width: int) -> ir.Value:
    """The numbers of ``width`` steps from floats that stand beside each other, of which ``depth`` may be read."""
    floats = [
        _line(builder, plus(builder, place, _FLOAT * first), lanes_below(builder, depth, first, width))
        for first in range(0, depth_of_step(kind) * width, width)
    ]
    if len(floats) == 1:
        return floats[0]
    first, second = floats
    return _numbers(builder, [shuffled(builder, first, second, range(half, 2 * width, 2)) for half in (0, 1)])


def _numbers(builder: ir.IRBuilder, lines: Values) -> ir.Value:
    """One line of floats as it is, or two as pairs, the first in the lower halves."""
    if len(lines) == 1:
        return lines[0]
    low, high = (_rounded(builder, line) for line in lines)
    upper = builder.and_(high, everywhere(high.type, 0xFFFF0000))
    return builder.or_(builder.lshr(low, everywhere(low.type, 16)), upper)


def _rounded(builder: ir.IRBuilder, x: ir.Value) -> ir.Value:
    """Bits of a float32 whose upper half is the nearest bfloat16, ties to even; a NaN stays a NaN."""
    is_odd = builder.and_(builder.lshr(x, everywhere(x.type, 16)), everywhere(x.type, 1))
    nearest = builder.add(builder.add(x, everywhere(x.type, 0x7FFF)), is_odd)
    value = builder.bitcast(x, vector(F32, x.type.count))
    is_nan = builder.fcmp_unordered("uno", value, value)
    return builder.select(is_nan, builder.or_(x, everywhere(x.type, 1 << 22)), nearest)


def _transposed(builder: ir.IRBuilder, rows: Values) -> Values:
    """A square of vectors: its upper right and lower left quarters exchange places, then those of each quarter, ..."""
    width, rows, step = len(rows), list(rows), len(rows) // 2
    while step:
        for i in (i for i in range(width) if not i & step):
            x, y = rows[i], rows[i + step]
            rows[i] = shuffled(builder, x, y, (width + k - step if k & step else k for k in range(width)))
            rows[i + step] = shuffled(builder, x, y, (width + k if k & step else k + step for k in range(width)))
        step //= 2
    return rows
