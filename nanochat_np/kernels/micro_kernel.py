"""The innermost loop of a matrix product: a tile of C whose sums stay in vector registers.

    C[i, j]  (+)=  Σ_k A[i, k] · B[k, j]        i < rows,  j < vectors · width

A step loads one row of a panel of B into ``vectors`` registers, and for each row of A one number into all lanes of
another; of the ``rows`` · ``vectors`` sums none leaves its register before the end.  With 8 x 2 sums the fused
multiply-adds of an AVX-512 CPU, two a cycle and four cycles each, never wait for each other.  Sources: Goto & van de
Geijn 2008, ACM TOMS 34(3), article 12; Van Zee & van de Geijn 2015 (BLIS), ACM TOMS 41(3), article 14.

Kinds of numbers:

    float32        A step is one k.
    bfloat16       A number is a pair of bfloat16, k and k + 1, in 32 bits, and a step is two k.  A bfloat16 is the
                   upper half of a float32, so a shift makes one of it: two multiply-adds a step.
    bfloat16_dot   The same with the instruction of AVX512-BF16 that multiplies and adds a pair in each lane.

Sums are float32 in all of them.
"""

from typing import Any, Literal, NamedTuple

from llvmlite import ir

from nanochat_np.kernels.llvm import (
    F32,
    I32,
    Values,
    call,
    constant,
    everywhere,
    function_of_int64,
    lanes_below,
    load,
    loop,
    masked_load,
    masked_store,
    multiply_add,
    plus,
    pointer,
    prefetch,
    splat,
    store,
    vector,
    zeros,
)

Kind = Literal["float32", "bfloat16", "bfloat16_dot"]
NUMBER = 4  # bytes of a lane
CACHE_LINE = 64  # bytes
_UNROLLED = 4  # steps in the loop's body


class Tile(NamedTuple):
    """``rows`` of A by ``vectors`` of ``width`` numbers of B."""

    rows: int
    vectors: int
    width: int

    @property
    def columns(self) -> int:
        """Of C, and of a panel of B."""
        return self.vectors * self.width


class _BFloat(ir.types.Type):
    """LLVM's bfloat, for which llvmlite has no name."""

    def __str__(self) -> str:
        return "bfloat"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _BFloat)

    def __hash__(self) -> int:
        return hash(_BFloat)


def micro_kernel(kind: Kind, tile: Tile, a_is_packed: bool) -> Any:
    """A function for compiled code:  (steps, a, a_row, b, c, c_row, columns, add), all int64, which writes C.

    ``a``, ``b`` and ``c`` are addresses, ``a_row`` and ``c_row`` the bytes from a row to the next.  ``b`` is a panel:
    the steps after each other, ``tile.columns`` numbers each.  ``a`` holds the steps of a row after each other; packed
    it is a panel as B's, and ``a_row`` is not looked at.  Only the first ``columns`` of C are touched; ``add`` is 1
    where the product is added to what they hold, else 0.
    """

    def write(builder: ir.IRBuilder, arguments: Values) -> None:
        steps, a, a_row, b, c, c_row, columns, add = arguments
        a, b, c = (pointer(builder, address) for address in (a, b, c))
        from_row_to_row = constant(NUMBER) if a_is_packed else a_row
        rows_of_a = [builder.mul(from_row_to_row, constant(i)) for i in range(tile.rows)]
        for place in _lines_of_tile(builder, tile, c, c_row):  # so that the sums need not wait for them
            prefetch(builder, place, to_write=True)
        from_step_to_step = NUMBER * (tile.columns if a_is_packed else 1)

        def step(state: Values) -> Values:
            a, b, *sums = state
            places = (plus(builder, b, NUMBER * tile.width * j) for j in range(tile.vectors))
            row_of_b = [load(builder, place, vector(I32, tile.width)) for place in places]
            for i, row in enumerate(rows_of_a):
                number = load(builder, plus(builder, a, row), I32)
                for j, numbers in enumerate(row_of_b, i * tile.vectors):
                    sums[j] = _MULTIPLY_ADD[kind](builder, sums[j], number, numbers)
            return [plus(builder, a, from_step_to_step), plus(builder, b, NUMBER * tile.columns), *sums]

        def steps_of_body(state: Values) -> Values:
            for _ in range(_UNROLLED):
                state = step(state)
            return state

        none = zeros(vector(F32, tile.width))
        state = [a, b, *[none] * (tile.rows * tile.vectors)]
        state = loop(builder, builder.udiv(steps, constant(_UNROLLED)), state, steps_of_body)
        _, _, *sums = loop(builder, builder.urem(steps, constant(_UNROLLED)), state, step)
        _write_tile(builder, tile, sums, c, c_row, columns, add)

    name = f"{kind}_{tile.rows}x{tile.vectors}x{tile.width}_{'packed' if a_is_packed else 'rows'}"
    return function_of_int64(name, 8, write)


def _lines_of_tile(builder: ir.IRBuilder, tile: Tile, c: ir.Value, c_row: ir.Value) -> Values:
    rows = [plus(builder, c, builder.mul(c_row, constant(i))) for i in range(tile.rows)]
    return [plus(builder, row, offset) for row in rows for offset in range(0, NUMBER * tile.columns, CACHE_LINE)]


def _write_tile(
    builder: ir.IRBuilder, tile: Tile, sums: Values, c: ir.Value, c_row: ir.Value, columns: ir.Value, add: ir.Value
) -> None:
    rows = [plus(builder, c, builder.mul(c_row, constant(i))) for i in range(tile.rows)]
    places = [plus(builder, row, NUMBER * tile.width * j) for row in rows for j in range(tile.vectors)]
    kind, adding = vector(F32, tile.width), builder.icmp_unsigned("!=", add, constant(0))
    is_whole = builder.icmp_signed(">=", columns, constant(tile.columns))
    with builder.if_else(is_whole, likely=True) as (whole, part):
        with whole, builder.if_else(adding) as (added, written):
            with added:
                for value, place in zip(sums, places, strict=True):
                    store(builder, builder.fadd(load(builder, place, kind), value), place)
            with written:
                for value, place in zip(sums, places, strict=True):
                    store(builder, value, place)
        with part:  # masked memory is slow, with an empty mask too
            exists = [lanes_below(builder, columns, j * tile.width, tile.width) for j in range(tile.vectors)]
            old = splat(builder, adding, tile.width)
            for number, (value, place) in enumerate(zip(sums, places, strict=True)):
                mask = exists[number % tile.vectors]
                before = masked_load(builder, place, builder.and_(mask, old), kind)
                masked_store(builder, builder.fadd(before, value), place, mask)


def _float32(builder: ir.IRBuilder, sums: ir.Value, number: ir.Value, numbers: ir.Value) -> ir.Value:
    x = splat(builder, builder.bitcast(number, F32), sums.type.count)
    return multiply_add(builder, x, builder.bitcast(numbers, sums.type), sums)


def _bfloat16(builder: ir.IRBuilder, sums: ir.Value, pair: ir.Value, pairs: ir.Value) -> ir.Value:
    both = splat(builder, pair, pairs.type.count), pairs
    low = [builder.shl(x, everywhere(pairs.type, 16)) for x in both]
    high = [builder.and_(x, everywhere(pairs.type, 0xFFFF0000)) for x in both]
    for x, y in (low, high):
        sums = multiply_add(builder, builder.bitcast(x, sums.type), builder.bitcast(y, sums.type), sums)
    return sums


def _bfloat16_dot(builder: ir.IRBuilder, sums: ir.Value, pair: ir.Value, pairs: ir.Value) -> ir.Value:
    halves = vector(_BFloat(), 2 * pairs.type.count)
    x = splat(builder, pair, pairs.type.count)
    name = f"llvm.x86.avx512bf16.dpbf16ps.{32 * pairs.type.count}"
    return call(builder, name, sums.type, [sums, builder.bitcast(pairs, halves), builder.bitcast(x, halves)])


_MULTIPLY_ADD = {"float32": _float32, "bfloat16": _bfloat16, "bfloat16_dot": _bfloat16_dot}
