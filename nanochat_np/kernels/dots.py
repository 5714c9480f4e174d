"""Four rows of a matrix times a few vectors: what decoding is made of.

A row's numbers go from memory into a register once for all vectors.  Each sum has one register to itself, whose lanes
are added up at the end in an order of their own, so a vector's results do not depend on how many others there are.
"""

from collections.abc import Callable
from typing import Any, Literal

from llvmlite import ir

from nanochat_np.kernels.llvm import (
    F32,
    I8,
    I16,
    I32,
    Values,
    constant,
    function_of_int64,
    load,
    loop,
    multiply_add,
    plus,
    pointer,
    prefetch,
    shuffled,
    store,
    vector,
    zeros,
)
from nanochat_np.kernels.micro_kernel import CACHE_LINE, NUMBER

ROWS = 4

Code = Literal["float32", "uint16", "int8"]


def dots(code: Code, vectors: int, width: int) -> Any:
    """A function for compiled code:  (steps, w, w_row, x, x_row, factors, y, y_row), all int64, which writes y.

    y[t, r] = factors[r] Σ_k w[r, k] x[t, k] for ROWS rows r and so many ``vectors`` t, over ``steps`` times ``width``
    numbers.  ``w``, ``x``, ``factors`` and ``y`` are addresses, ``w_row``, ``x_row`` and ``y_row`` the bytes from a row
    to the next.  ``code`` is the type of w: float32, bfloat16 in uint16, or int8; all else is float32.
    """

    def write(builder: ir.IRBuilder, arguments: Values) -> None:
        steps, w, w_row, x, x_row, factors, y, y_row = arguments
        rows = [plus(builder, pointer(builder, w), builder.mul(w_row, constant(r))) for r in range(ROWS)]
        inputs = [plus(builder, pointer(builder, x), builder.mul(x_row, constant(t))) for t in range(vectors)]
        bytes_of_code, numbers_of = _CODES[code]
        to_next = builder.mul(w_row, constant(ROWS))

        def step(state: Values) -> Values:
            of_w, of_x, *sums = state
            for row in rows:  # those after these are soon asked for, and memory is slow
                prefetch(builder, plus(builder, row, builder.add(of_w, to_next)))
            of_rows = [numbers_of(builder, plus(builder, row, of_w), width) for row in rows]
            for t, place in enumerate(inputs):
                numbers = load(builder, plus(builder, place, of_x), vector(F32, width))
                for r, row in enumerate(of_rows, t * ROWS):
                    sums[r] = multiply_add(builder, row, numbers, sums[r])
            following = builder.add(of_w, constant(bytes_of_code * width)), builder.add(of_x, constant(NUMBER * width))
            return [*following, *sums]

        state = [constant(0), constant(0), *[zeros(vector(F32, width))] * (ROWS * vectors)]
        _, _, *sums = loop(builder, steps, state, step)
        scale = load(builder, pointer(builder, factors), vector(F32, ROWS))
        for t in range(vectors):
            place = plus(builder, pointer(builder, y), builder.mul(y_row, constant(t)))
            totals = _added_up(builder, sums[t * ROWS : (t + 1) * ROWS], width)
            store(builder, builder.fmul(totals, scale), place)

    return function_of_int64(f"dots_{code}_{ROWS}x{vectors}x{width}", 8, write)


def _write_asking(builder: ir.IRBuilder, arguments: Values) -> None:
    place, lines = arguments

    def ask(state: Values) -> Values:
        prefetch(builder, pointer(builder, state[0]))
        return [builder.add(state[0], constant(CACHE_LINE))]

    loop(builder, lines, [place], ask)


# For compiled code:  (place, lines), all int64: that much memory from ``place`` on is soon asked for.
ask_for = function_of_int64("ask_for", 2, _write_asking)


def _added_up(builder: ir.IRBuilder, sums: Values, width: int) -> ir.Value:
    """The sum of the lanes of each of four vectors, as the lanes of one."""
    half = width // 2

    def folded(x: ir.Value, y: ir.Value, group: int) -> ir.Value:
        """Groups of lanes of x, then those of y, each half as long: its first half plus its second."""
        starts = range(0, 2 * width, group)
        parts = [[start + first + lane for start in starts for lane in range(group // 2)] for first in (0, group // 2)]
        return builder.fadd(*(shuffled(builder, x, y, lanes) for lanes in parts))

    first, second = (folded(x, y, width) for x, y in (sums[:2], sums[2:]))
    both, group = folded(first, second, half), half // 2
    while group > 1:
        swapped = shuffled(builder, both, both, [lane ^ (group // 2) for lane in range(width)])
        both, group = builder.fadd(both, swapped), group // 2
    return shuffled(builder, both, both, range(0, width, width // ROWS))


def _float32(builder: ir.IRBuilder, place: ir.Value, width: int) -> ir.Value:
    return load(builder, place, vector(F32, width))


def _bfloat16(builder: ir.IRBuilder, place: ir.Value, width: int) -> ir.Value:
    wide = vector(I32, width)
    bits = builder.zext(load(builder, place, vector(I16, width)), wide)
    return builder.bitcast(builder.shl(bits, ir.Constant(wide, [16] * width)), vector(F32, width))


def _int8(builder: ir.IRBuilder, place: ir.Value, width: int) -> ir.Value:
    return builder.sitofp(load(builder, place, vector(I8, width)), vector(F32, width))


_CODES: dict[Code, tuple[int, Callable[[ir.IRBuilder, ir.Value, int], ir.Value]]] = {
    "float32": (4, _float32),
    "uint16": (2, _bfloat16),
    "int8": (1, _int8),
}
