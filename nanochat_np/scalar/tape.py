"""A flat tape: scalars, and how each was made from earlier ones, in the order in which they were made.

A node is known by its number.  The methods that record take and return nodes, one (an int) or an integer array of any
shape, and broadcast as NumPy does.  Values follow when they are asked for; ``replay`` makes them anew for other inputs.
"""

from contextvars import ContextVar, Token
from typing import Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from nanochat_np.scalar import rules
from nanochat_np.scalar.recording import Ids, Recording, checked_inputs

Floats = NDArray[np.float64]


class Tape:
    """Records scalar operations in float64.  Inside ``with Tape():`` it is the tape of every new ``Value``.

    Operations outside their domain follow IEEE 754 silently: log 0 is -inf, 0 to the power -1 is inf, the log of a
    negative number is nan.  Operands that are not nodes of the tape raise ValueError.
    """

    def __init__(self) -> None:
        self.recording = Recording()
        self._constants: dict[str, int] = {}
        self._inputs = np.zeros(0, np.int32)
        self._computed, self._computed_run = 0, 0  # the first node without a value, and a run at or before its own
        self._outer: list[Token[Tape]] = []

    # Primitives

    def leaf(self, values: ArrayLike) -> Ids:
        """New nodes (...) that hold ``values`` (...) and depend on nothing."""
        values = np.asarray(values, np.float64)
        start = self.recording.reserve(rules.LEAF, values.size)
        nodes = np.arange(start, start + values.size).reshape(values.shape)
        self.recording.values[nodes] = values
        return nodes

    def constant(self, value: float) -> int:
        """The leaf that holds ``value``, recorded once."""
        key = float(value).hex()  # tells -0.0 from 0.0, and finds nan again
        if key not in self._constants:
            self._constants[key] = int(self.leaf(value))
        return self._constants[key]

    def add(self, a: Ids, b: Ids) -> Ids:
        """a + b."""
        return self._record(rules.ADD, a, b)

    def mul(self, a: Ids, b: Ids) -> Ids:
        """a · b."""
        return self._record(rules.MUL, a, b)

    def pow(self, a: Ids, exponent: float) -> Ids:
        """a to the power of a constant number."""
        return self._record(rules.POW, a, self.constant(exponent))

    def exp(self, a: Ids) -> Ids:
        """e to the power a."""
        return self._record(rules.EXP, a)

    def log(self, a: Ids) -> Ids:
        """Natural logarithm."""
        return self._record(rules.LOG, a)

    def relu(self, a: Ids) -> Ids:
        """max(a, 0), with slope 0 at a = 0."""
        return self._record(rules.RELU, a)

    def gather(self, choices: Ids, slots: ArrayLike) -> Ids:
        """y[...] = choices[..., inputs[slots[...]]]: an input decides at each replay which of the choices it is.

        choices (..., V) nodes, evenly spaced on the tape along the last axis; slots (...) positions in the inputs.
        """
        choices = np.asarray(choices)
        self.recording.check(choices)
        steps = np.unique(np.diff(choices))
        if len(steps) > 1:
            raise ValueError("the choices of a gather must be evenly spaced on the tape along the last axis")
        rows = self.recording.gather_rows(slots, int(steps.sum()), choices.shape[-1])
        return self.recording.append(rules.GATHER, choices[..., 0], rows)

    def _record(self, code: int, a: Ids, b: Ids = 0) -> Ids:
        self.recording.check(a)
        self.recording.check(b)
        return self.recording.append(code, a, b)

    # Values and gradients

    def values(self, nodes: Ids) -> Floats:
        """Values (...) of nodes (...); computes those that are not there yet."""
        self.recording.check(nodes)
        self._compute()
        return self.recording.values[nodes]

    def grads(self, nodes: Ids) -> Floats:
        """Gradients (...) of nodes (...) from the last ``backward``."""
        self.recording.check(nodes)
        return self.recording.grads[nodes]

    def assign(self, leaves: Ids, values: ArrayLike) -> None:
        """Give leaves other values; what depends on them follows when it is asked for."""
        self.recording.check(leaves)
        if not self.recording.are_leaves(leaves):
            raise ValueError("only leaves can be given a value: all other nodes are computed")
        self.recording.values[leaves] = values
        self._computed = self._computed_run = 0

    def replay(self, inputs: ArrayLike) -> None:
        """Compute all nodes for ``inputs`` (slots,), the integers that gathers read."""
        self._inputs = np.asarray(inputs)
        self._computed = self._computed_run = 0
        self._compute()

    def backward(self, node: int) -> None:
        """Gradients of ``node`` with respect to all nodes, in place of those of an earlier call."""
        recording = self.recording
        recording.check(node)
        self._compute()
        state = recording.values[: recording.size], self._inputs, recording.grads[: recording.size]
        rules.backward(recording.graph(), *state, 0, int(node), 1.0)

    def _compute(self) -> None:
        recording = self.recording
        if self._computed < recording.size:
            self._inputs = checked_inputs(self._inputs, 1, recording.input_limits())
            state = recording.values[: recording.size], self._inputs
            rules.forward(recording.graph(), *state, self._computed_run, self._computed)
            self._computed, self._computed_run = recording.size, recording.runs - 1  # the last run may still grow

    # The tape of new values

    def __enter__(self) -> Self:
        self._outer.append(_current.set(self))
        return self

    def __exit__(self, *exception: object) -> None:
        _current.reset(self._outer.pop())


_current: ContextVar[Tape] = ContextVar("tape")


def current_tape() -> Tape:
    """The tape of the innermost ``with Tape():``, else one that lasts as long as its context (a thread, a task)."""
    try:
        return _current.get()
    except LookupError:
        _current.set(Tape())
        return _current.get()
