"""The rules of the primitives, compiled: how each is computed, and how each hands its gradient to its operands.

The two loops below are the only place that knows them.  They go over runs of nodes of one primitive, so that the
choice of a rule is made once a run and the loop inside is nothing but arithmetic on flat arrays.  In a backward rule,
g is the gradient of the node, and the gradient of each operand grows by g times the local derivative.  Where g is 0,
nothing is handed on: that is what keeps an infinite derivative off the path to the result out of its gradient.
"""

import math
from typing import NamedTuple

import numpy as np

from nanochat_np.backend.arrays import Array
from nanochat_np.backend.jit import njit

LEAF, ADD, MUL, POW, EXP, LOG, RELU, GATHER = range(8)


class Graph(NamedTuple):
    """What a tape records, without the values.  Node i has the operands a[i] and b[i], nodes before it."""

    codes: np.ndarray  # (runs,) int64: the primitive of each run
    ends: np.ndarray  # (runs,) int64: one past the last node of each run, which begins where the one before ends
    a: np.ndarray  # (nodes,) uint32 (unsigned, so that indexing needs no test for negative numbers)
    b: np.ndarray  # (nodes,) uint32; for a gather, a row of the two tables that follow
    slots: np.ndarray  # (rows,) int64: the position in the inputs that chooses
    strides: np.ndarray  # (rows,) int64: nodes from one choice to the next


@njit(cache=True, error_model="numpy")
def forward(graph: Graph, values: Array, inputs: Array, first_run: int, first: int) -> None:
    """Compute the nodes from ``first``, which lies in ``first_run``, to the last; leaves keep their values.

    values (nodes,) float64 is written; inputs (slots,) int32.
    """
    codes, ends, a, b, slots, strides = graph
    for run in range(first_run, len(codes)):
        code, nodes = codes[run], range(first, ends[run])
        first = ends[run]
        if code == ADD:
            for i in nodes:
                values[i] = values[a[i]] + values[b[i]]
        elif code == MUL:
            for i in nodes:
                values[i] = values[a[i]] * values[b[i]]
        elif code == POW:
            for i in nodes:
                values[i] = values[a[i]] ** values[b[i]]
        elif code == EXP:
            for i in nodes:
                values[i] = math.exp(values[a[i]])
        elif code == LOG:
            for i in nodes:
                values[i] = np.log(values[a[i]])
        elif code == RELU:
            for i in nodes:
                values[i] = max(values[a[i]], 0.0)
        elif code == GATHER:
            for i in nodes:
                values[i] = values[a[i] + inputs[slots[b[i]]] * strides[b[i]]]


@njit(cache=True, error_model="numpy")
def backward(graph: Graph, values: Array, inputs: Array, grads: Array, kept: int, node: int, seed: float) -> None:
    """Add ``seed`` times the gradient of ``node`` to the first ``kept`` gradients; set all others to it.

    grads (nodes,) float64 is written.  Nodes after ``node`` have gradient 0.
    """
    codes, ends, a, b, slots, strides = graph
    grads[kept:] = 0.0
    grads[node] += seed
    for run in range(len(codes) - 1, -1, -1):
        code, start = codes[run], ends[run - 1] if run else 0
        nodes = range(ends[run] - 1, start - 1, -1)
        if code == ADD:
            for i in nodes:
                g = grads[i]
                grads[a[i]] += g
                grads[b[i]] += g
        elif code == MUL:
            for i in nodes:
                g, x, y = grads[i], values[a[i]], values[b[i]]
                if g != 0.0:
                    grads[a[i]] += g * y
                    grads[b[i]] += g * x
        elif code == POW:
            for i in nodes:
                g, x, n = grads[i], values[a[i]], values[b[i]]
                if g != 0.0 and n != 0.0:
                    grads[a[i]] += g * n * x ** (n - 1.0)
        elif code == EXP:
            for i in nodes:
                g = grads[i]
                if g != 0.0:
                    grads[a[i]] += g * values[i]
        elif code == LOG:
            for i in nodes:
                g = grads[i]
                if g != 0.0:
                    grads[a[i]] += g / values[a[i]]
        elif code == RELU:
            for i in nodes:
                if values[i] > 0.0:
                    grads[a[i]] += grads[i]
        elif code == GATHER:
            for i in nodes:
                grads[a[i] + inputs[slots[b[i]]] * strides[b[i]]] += grads[i]
