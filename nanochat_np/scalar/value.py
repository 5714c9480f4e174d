"""A number that remembers how it was made: one node of a tape, with Python's operators."""

from collections.abc import Callable
from numbers import Real
from typing import Union

from nanochat_np.scalar import derived
from nanochat_np.scalar.recording import Ids
from nanochat_np.scalar.tape import Tape, current_tape

Operand = Union["Value", float]


class Value:
    """A scalar on a tape.

    >>> x, y = Value(2.0), Value(3.0)
    >>> z = x * y + x**3
    >>> z.backward()
    >>> z.data, x.grad  # dz/dx = y + 3x²
    (14.0, 15.0)

    ``data`` is computed when it is read; a leaf's can be set, and what was made from it follows.  ``grad`` is from the
    last ``backward`` alone: gradients of several calls do not add up.  Plain numbers may stand on either side of an
    operator; an exponent must be one.  Operations outside their domain follow IEEE 754 silently (inf, nan).

    Without a tape, a value goes on that of the enclosing ``with Tape():``, else on one that lasts and only grows.
    """

    __slots__ = ("_node", "tape")
    __array_ufunc__ = None  # so that NumPy's numbers leave an operator to this class

    def __init__(self, data: float, tape: Tape | None = None) -> None:
        self.tape = current_tape() if tape is None else tape
        self._node = int(self.tape.leaf(data))

    @property
    def data(self) -> float:
        """The number itself."""
        return float(self.tape.values(self._node))

    @data.setter
    def data(self, value: float) -> None:
        self.tape.assign(self._node, value)

    @property
    def grad(self) -> float:
        """Derivative of the value whose ``backward`` was called last with respect to this one; 0 before any call."""
        return float(self.tape.grads(self._node))

    def backward(self) -> None:
        """Compute the derivatives of this value with respect to all values of its tape."""
        self.tape.backward(self._node)

    def exp(self) -> "Value":
        """e to the power x."""
        return self._made(self.tape.exp(self._node))

    def log(self) -> "Value":
        """Natural logarithm."""
        return self._made(self.tape.log(self._node))

    def relu(self) -> "Value":
        """max(x, 0), with slope 0 at 0."""
        return self._made(self.tape.relu(self._node))

    def tanh(self) -> "Value":
        """Hyperbolic tangent."""
        return self._made(derived.tanh(self.tape, self._node))

    def __pow__(self, exponent: float) -> "Value":
        return self._made(self.tape.pow(self._node, exponent)) if _is_number(exponent) else NotImplemented

    def __neg__(self) -> "Value":
        return self._made(derived.neg(self.tape, self._node))

    def __add__(self, other: Operand) -> "Value":
        return self._binary(Tape.add, self, other)

    def __radd__(self, other: Operand) -> "Value":
        return self._binary(Tape.add, other, self)

    def __sub__(self, other: Operand) -> "Value":
        return self._binary(derived.sub, self, other)

    def __rsub__(self, other: Operand) -> "Value":
        return self._binary(derived.sub, other, self)

    def __mul__(self, other: Operand) -> "Value":
        return self._binary(Tape.mul, self, other)

    def __rmul__(self, other: Operand) -> "Value":
        return self._binary(Tape.mul, other, self)

    def __truediv__(self, other: Operand) -> "Value":
        return self._binary(derived.div, self, other)

    def __rtruediv__(self, other: Operand) -> "Value":
        return self._binary(derived.div, other, self)

    def __repr__(self) -> str:
        return f"Value(data={self.data}, grad={self.grad})"

    def _binary(self, record: Callable[[Tape, Ids, Ids], Ids], left: Operand, right: Operand) -> "Value":
        nodes = self._node_of(left), self._node_of(right)
        return NotImplemented if None in nodes else self._made(record(self.tape, *nodes))

    def _node_of(self, operand: Operand) -> int | None:
        if not isinstance(operand, Value):
            return self.tape.constant(operand) if _is_number(operand) else None
        if operand.tape is not self.tape:
            raise ValueError("values of two tapes cannot be combined: make both inside the same `with Tape():`")
        return operand._node

    def _made(self, node: int) -> "Value":
        value = object.__new__(Value)
        value.tape, value._node = self.tape, node
        return value


def _is_number(operand: object) -> bool:
    return isinstance(operand, Real)
