"""The arrays that a tape is made of: they grow by doubling, and give the compiled loops what is in use."""

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from nanochat_np.scalar import rules

Ids = Any  # nodes by their numbers: an int, or an integer array of any shape


class Recording:
    """Nodes in the order in which they were made, in runs of one primitive (see ``rules.Graph``)."""

    def __init__(self) -> None:
        self.size = self.runs = 0
        self.codes, self.ends = np.zeros(16, np.int64), np.zeros(16, np.int64)
        self.a, self.b = np.zeros(64, np.uint32), np.zeros(64, np.uint32)
        self.values, self.grads = np.zeros(64), np.zeros(64)
        self.gathers: dict[tuple[int, int, int], int] = {}  # (slot, stride, choices) -> row of the graph's tables

    def append(self, code: int, a: Ids, b: Ids) -> Ids:
        """Record nodes of one primitive, one for each element of the broadcast operands; return them in that shape."""
        if type(a) is int and type(b) is int:
            node = self.reserve(code, 1)
            self.a[node], self.b[node] = a, b
            return node
        a, b = np.broadcast_arrays(a, b)
        start = self.reserve(code, a.size)
        self.a[start : self.size], self.b[start : self.size] = a.ravel(), b.ravel()
        return np.arange(start, self.size).reshape(a.shape)

    def reserve(self, code: int, count: int) -> int:
        """Make room for ``count`` nodes, in the last run if it is of this primitive; return the first of them."""
        start, self.size = self.size, self.size + count
        if self.size > len(self.a):
            self.a, self.b = _grown(self.a, self.size), _grown(self.b, self.size)
            self.values, self.grads = _grown(self.values, self.size), _grown(self.grads, self.size)
        if self.runs == 0 or self.codes[self.runs - 1] != code:
            if self.runs == len(self.codes):
                self.codes, self.ends = _grown(self.codes, self.runs + 1), _grown(self.ends, self.runs + 1)
            self.codes[self.runs] = code
            self.runs += 1
        self.ends[self.runs - 1] = self.size
        return start

    def check(self, nodes: Ids) -> None:
        """Raise ValueError unless all are nodes of this recording."""
        if type(nodes) is int:  # NumPy is slow at one number
            inside = 0 <= nodes < self.size
        else:
            nodes = np.asarray(nodes)
            inside = nodes.dtype.kind in "iu" and (nodes.size == 0 or 0 <= nodes.min() <= nodes.max() < self.size)
        if not inside:
            raise ValueError(f"operands must be nodes of this tape, integers in [0, {self.size})")

    def are_leaves(self, nodes: Ids) -> bool:
        """Whether all are leaves."""
        runs = np.searchsorted(self.ends[: self.runs], nodes, side="right")
        return bool(np.all(self.codes[runs] == rules.LEAF))

    def gather_rows(self, slots: Ids, stride: int, choices: int) -> Ids:
        """Rows (...) of the gather tables for slots (...); new ones where there are none."""
        used, inverse = np.unique(slots, return_inverse=True)
        keys = [(int(slot), stride, choices) for slot in used]
        rows = np.array([self.gathers.setdefault(key, len(self.gathers)) for key in keys])
        return rows[inverse.reshape(np.shape(slots))]

    def input_limits(self) -> NDArray[np.int64]:
        """(slots,): how many choices the input at each position has, so that it must be in [0, limit)."""
        limits = np.full(1 + max((slot for slot, _, _ in self.gathers), default=-1), np.iinfo(np.int32).max)
        for slot, _, choices in self.gathers:
            limits[slot] = min(limits[slot], choices)
        return limits

    def graph(self) -> rules.Graph:
        """What is recorded so far, as the compiled loops take it."""
        table = np.array(list(self.gathers), np.int64).reshape(-1, 3)
        slots, strides = np.ascontiguousarray(table.T)[:2]
        runs, size = self.runs, self.size
        return rules.Graph(self.codes[:runs], self.ends[:runs], self.a[:size], self.b[:size], slots, strides)


def checked_inputs(inputs: ArrayLike, ndim: int, limits: NDArray[np.int64]) -> NDArray[np.int32]:
    """Inputs (..., slots) of ``ndim`` axes as compiled code takes them; slots that nothing reads may be there.

    Raises ValueError unless they are integers in [0, limit), limits (slots,).
    """
    inputs = np.asarray(inputs)
    if inputs.dtype.kind not in "iu" or inputs.ndim != ndim or inputs.shape[-1] < len(limits):
        raise ValueError(
            f"inputs must be integers of {ndim} axes, the last at least {len(limits)} long, "
            f"not {inputs.dtype} of shape {inputs.shape}"
        )
    read = inputs[..., : len(limits)]
    outside = (read < 0) | (read >= limits)
    if outside.any():
        slot = int(np.argwhere(outside)[0, -1])
        raise ValueError(f"input {read[outside][0]} at position {slot} is outside [0, {limits[slot]})")
    return np.require(inputs, np.int32, ["C", "W"])


def _grown(array: NDArray[Any], size: int) -> NDArray[Any]:
    larger = np.zeros(max(size, 2 * len(array)), array.dtype)
    larger[: len(array)] = array
    return larger
