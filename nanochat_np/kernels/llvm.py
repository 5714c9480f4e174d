"""Words for writing a function in LLVM's instructions, which Numba then inlines or calls: vectors, masks, loops.

Functions take addresses as int64, so that they are compiled once and not for each layout of an array; inside they are
pointers to bytes, of whose offsets LLVM makes good use.  Nothing is known of alignment beyond that of four bytes.
"""

from collections.abc import Callable, Iterable
from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

F32, I64, I32, I16, I8, I1 = ir.FloatType(), *(ir.IntType(bits) for bits in (64, 32, 16, 8, 1))
Values = list[ir.Value]


def function_of_int64(name: str, arguments: int, write: Callable[[ir.IRBuilder, Values], None]) -> Any:
    """A function for compiled code that takes int64 and returns nothing; ``write`` writes its instructions."""
    signature = types.void(*[types.int64] * arguments)

    def in_module(module: ir.Module) -> ir.Function:
        """The function in a module of LLVM, written there if this is its first use."""
        if name in module.globals:
            return module.globals[name]
        function = ir.Function(module, ir.FunctionType(ir.VoidType(), [I64] * arguments), name)
        function.linkage = "internal"
        function.attributes.add("noinline")
        function.attributes.add("nounwind")
        builder = ir.IRBuilder(function.append_basic_block())
        write(builder, list(function.args))
        builder.ret_void()
        return function

    def code(context: Any, builder: ir.IRBuilder, _: Any, values: Values) -> Any:
        builder.call(in_module(builder.module), values)
        return context.get_dummy_value()

    # Numba reads from the function itself how many arguments it has.
    numbered = ", ".join(f"a{i}" for i in range(arguments))
    namespace: dict[str, Any] = {"answer": (signature, code)}
    exec(f"def {name}(context, {numbered}): return answer", namespace)
    return intrinsic(namespace[name])


def constant(value: int) -> ir.Constant:
    """An int64."""
    return ir.Constant(I64, value)


def vector(of: ir.Type, width: int) -> ir.VectorType:
    """The type of ``width`` lanes."""
    return ir.VectorType(of, width)


def everywhere(kind: ir.VectorType, value: int) -> ir.Constant:
    """A vector of one integer."""
    return ir.Constant(kind, [value] * kind.count)


def zeros(kind: ir.VectorType) -> ir.Constant:
    """A vector of zeros."""
    return ir.Constant(kind, None)


def pointer(builder: ir.IRBuilder, address: ir.Value) -> ir.Value:
    """To the byte at ``address``."""
    return builder.inttoptr(address, I8.as_pointer())


def plus(builder: ir.IRBuilder, place: ir.Value, offset: ir.Value | int) -> ir.Value:
    """The place so many bytes after ``place``."""
    return builder.gep(place, [constant(offset) if isinstance(offset, int) else offset])


def splat(builder: ir.IRBuilder, value: ir.Value, width: int) -> ir.Value:
    """``value`` in all lanes."""
    kind = vector(value.type, width)
    first = builder.insert_element(ir.Constant(kind, ir.Undefined), value, ir.Constant(I32, 0))
    return builder.shuffle_vector(first, ir.Constant(kind, ir.Undefined), zeros(vector(I32, width)))


def shuffled(builder: ir.IRBuilder, x: ir.Value, y: ir.Value, lanes: Iterable[int]) -> ir.Value:
    """Lanes of ``x`` and, numbered after them, of ``y``."""
    chosen = [ir.Constant(I32, lane) for lane in lanes]
    return builder.shuffle_vector(x, y, ir.Constant(vector(I32, len(chosen)), chosen))


def load(builder: ir.IRBuilder, place: ir.Value, kind: ir.Type) -> ir.Value:
    """What is at ``place``."""
    return builder.load(builder.bitcast(place, kind.as_pointer()), align=4)


def store(builder: ir.IRBuilder, value: ir.Value, place: ir.Value) -> None:
    """Write ``value`` to ``place``."""
    builder.store(value, builder.bitcast(place, value.type.as_pointer()), align=4)


def lanes_below(builder: ir.IRBuilder, count: ir.Value, first: int, width: int) -> ir.Value:
    """The mask of those lanes of ``first``, ``first`` + 1, ... that are below ``count``."""
    lanes = ir.Constant(vector(I64, width), list(range(first, first + width)))
    return builder.icmp_signed("<", lanes, splat(builder, count, width))


def masked_load(builder: ir.IRBuilder, place: ir.Value, mask: ir.Value, kind: ir.VectorType) -> ir.Value:
    """The lanes of ``mask``, and 0 in the others, whose memory is not touched."""
    place = builder.bitcast(place, kind.as_pointer())
    arguments = [place, ir.Constant(I32, 4), mask, zeros(kind)]
    return call(builder, f"llvm.masked.load.{_name(kind)}.p0", kind, arguments)


def masked_store(builder: ir.IRBuilder, value: ir.Value, place: ir.Value, mask: ir.Value) -> None:
    """Write the lanes of ``mask``; the memory of the others is not touched."""
    place = builder.bitcast(place, value.type.as_pointer())
    arguments = [value, place, ir.Constant(I32, 4), mask]
    call(builder, f"llvm.masked.store.{_name(value.type)}.p0", ir.VoidType(), arguments)


def prefetch(builder: ir.IRBuilder, place: ir.Value, to_write: bool = False) -> None:
    """Ask for the cache line of ``place``, which is soon to be read or written; a place without memory is no error."""
    flags = (1 if to_write else 0), 3, 1  # 3: into all levels of the cache; 1: of data
    call(builder, "llvm.prefetch.p0", ir.VoidType(), [place, *(ir.Constant(I32, flag) for flag in flags)])


def call(builder: ir.IRBuilder, name: str, returns: ir.Type, arguments: Values) -> ir.Value:
    """Call one of LLVM's own functions."""
    kind = ir.FunctionType(returns, [argument.type for argument in arguments])
    return builder.call(cgutils.get_or_insert_function(builder.module, kind, name), arguments)


def multiply_add(builder: ir.IRBuilder, x: ir.Value, y: ir.Value, sums: ir.Value) -> ir.Value:
    """x y + sums, rounded once."""
    return call(builder, f"llvm.fma.v{sums.type.count}f32", sums.type, [x, y, sums])


def loop(builder: ir.IRBuilder, count: ir.Value, state: Values, body: Callable[[Values], Values]) -> Values:
    """Apply ``body`` to the state ``count`` times; the builder goes on after the loop."""
    before = builder.block
    head, inside, after = (builder.append_basic_block() for _ in range(3))
    builder.branch(head)
    builder.position_at_end(head)
    left, *values = phis = [builder.phi(value.type) for value in (count, *state)]
    builder.cbranch(builder.icmp_unsigned("!=", left, constant(0)), inside, after)
    builder.position_at_end(inside)
    following = [builder.sub(left, constant(1)), *body(list(values))]
    end = builder.block
    builder.branch(head)
    for phi, first, following_value in zip(phis, (count, *state), following, strict=True):
        phi.add_incoming(first, before)
        phi.add_incoming(following_value, end)
    builder.position_at_end(after)
    return values


def _name(kind: ir.VectorType) -> str:
    return f"v{kind.count}{'f' if kind.element == F32 else 'i'}32"
