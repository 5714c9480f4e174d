"""Functions of nodes made from the primitives alone: their gradients need no rule, they follow.

Nodes are as in ``Tape``: an int, or an integer array; operands broadcast.
"""

from collections.abc import Callable

import numpy as np

from nanochat_np.scalar.recording import Ids
from nanochat_np.scalar.tape import Tape


def neg(tape: Tape, a: Ids) -> Ids:
    """-a."""
    return tape.mul(a, tape.constant(-1.0))


def sub(tape: Tape, a: Ids, b: Ids) -> Ids:
    """a - b."""
    return tape.add(a, neg(tape, b))


def div(tape: Tape, a: Ids, b: Ids) -> Ids:
    """a · b⁻¹."""
    return tape.mul(a, tape.pow(b, -1.0))


def maximum(tape: Tape, a: Ids, b: Ids) -> Ids:
    """The larger: a + relu(b - a).

    Exact to the rounding of the operand that is larger in magnitude.  On a tie the gradient goes to a.
    """
    return tape.add(a, tape.relu(sub(tape, b, a)))


def tanh(tape: Tape, a: Ids) -> Ids:
    """(eᵃ - e⁻ᵃ) / (eᵃ + e⁻ᵃ), with both sides of the fraction times e^-|a|, so that no exponential overflows.

    The factor cancels, and so do the gradients through |a| = relu(a) + relu(-a).
    """
    minus = neg(tape, a)
    shift = neg(tape, tape.add(tape.relu(a), tape.relu(minus)))
    rising, falling = tape.exp(tape.add(a, shift)), tape.exp(tape.add(minus, shift))
    return div(tape, sub(tape, rising, falling), tape.add(rising, falling))


def sum_over(tape: Tape, a: Ids, axis: int = -1) -> Ids:
    """Sum along an axis."""
    return _fold(tape, Tape.add, a, axis)


def mean_over(tape: Tape, a: Ids, axis: int = -1) -> Ids:
    """Mean along an axis."""
    return tape.mul(sum_over(tape, a, axis), tape.constant(1.0 / np.shape(a)[axis]))


def max_over(tape: Tape, a: Ids, axis: int = -1) -> Ids:
    """Maximum along an axis."""
    return _fold(tape, maximum, a, axis)


def _fold(tape: Tape, combine: Callable[[Tape, Ids, Ids], Ids], a: Ids, axis: int) -> Ids:
    """Combine along an axis in a tree of halves: few, large recordings, and rounding grows with the depth alone."""
    terms = np.moveaxis(np.asarray(a), axis, -1)
    if terms.shape[-1] == 0:
        raise ValueError("nothing to combine: the axis has size 0")
    while terms.shape[-1] > 1:
        half = terms.shape[-1] // 2
        pairs = combine(tape, terms[..., :half], terms[..., half : 2 * half])
        terms = np.concatenate([pairs, terms[..., 2 * half :]], axis=-1)
    return terms[..., 0]
