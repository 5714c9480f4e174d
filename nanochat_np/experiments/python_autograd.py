"""Scalar autograd the plain way, an object for every number, and a bigram trained on it: the yardstick of the tape."""

import math
from collections.abc import Sequence


class Value:
    """A number, its gradient, and the numbers it was made from with the slope towards each."""

    __slots__ = ("data", "grad", "inputs", "slopes")

    def __init__(self, data: float, inputs: "tuple[Value, ...]" = (), slopes: tuple[float, ...] = ()) -> None:
        self.data, self.grad, self.inputs, self.slopes = data, 0.0, inputs, slopes

    def __add__(self, other: "Value") -> "Value":
        return Value(self.data + other.data, (self, other), (1.0, 1.0))

    def __mul__(self, other: "Value") -> "Value":
        return Value(self.data * other.data, (self, other), (other.data, self.data))

    def exp(self) -> "Value":
        """e to this power."""
        y = math.exp(self.data)
        return Value(y, (self,), (y,))

    def log(self) -> "Value":
        """Natural logarithm."""
        return Value(math.log(self.data), (self,), (1 / self.data,))

    def backward(self) -> None:
        """Add the gradient of this number to all it was made from: a topological order without recursion, reversed."""
        order: list[Value] = []
        seen: set[Value] = set()
        stack = [(self, False)]
        while stack:
            node, inputs_done = stack.pop()
            if inputs_done:
                order.append(node)
            elif node not in seen:
                seen.add(node)
                stack.append((node, True))
                stack += [(each, False) for each in node.inputs]
        self.grad = 1.0
        for node in reversed(order):
            for each, slope in zip(node.inputs, node.slopes, strict=True):
                each.grad += slope * node.grad


def bigram_step(table: list[list[Value]], context: int, target: int, lr: float) -> float:
    """An SGD step of the tied bigram on one pair; returns the loss before it.   table (V, V) is written."""
    h = table[context]
    logits = [_dot(row, h) for row in table]
    top = Value(-max(z.data for z in logits))
    mass = _sum([(z + top).exp() for z in logits])
    loss = mass.log() + (logits[target] + top) * Value(-1.0)
    loss.backward()
    for row in table:
        for parameter in row:
            parameter.data -= lr * parameter.grad
            parameter.grad = 0.0
    return loss.data


def _dot(a: Sequence[Value], b: Sequence[Value]) -> Value:
    return _sum([x * y for x, y in zip(a, b, strict=True)])


def _sum(values: Sequence[Value]) -> Value:
    total = values[0]
    for value in values[1:]:
        total = total + value
    return total
