"""Every pair of `ops`, with operands to try it on.

A case is a function from a maker of arrays (`strategies.New`) and sizes, named by its parameters, to the operands that
have a gradient and those that have none.  ``lead`` are leading axes, ``earlier`` is the number of positions in a cache.
"""

import inspect

from hypothesis import strategies as st

from nanochat_np import kernels, ops
from tests.strategies import sizes

_SIZES = {"lead": st.lists(sizes, max_size=2).map(tuple), "earlier": st.integers(0, 2)}
_EXAMPLE = {"lead": (2, 3), "earlier": 2, "B": 2, "T": 3, "C": 5, "I": 4, "O": 3, "H": 2, "D": 3, "V": 5, "N": 6}


def add(new, lead, C):
    return [new(*lead, C), new(*lead, C)], []


def causal_attention(new, B, H, T, D, earlier):
    return [new(B, H, T, D), new(B, H, T + earlier, D), new(B, H, T + earlier, D)], []


def cross_entropy_of_counts(new, N, V):
    counts = new.integers(3, N, V)
    counts[0, 0] += 1
    return [new(N, V)], [counts.astype(new.dtype)]


def embedding(new, lead, V, C):
    return [new(V, C)], [new.integers(V, *lead)]


def linear(new, lead, I, O):  # noqa: E741
    return [new(*lead, I), new(O, I)], []


def relu_squared(new, lead, C):
    return [new(*lead, C)], []


def rms_norm(new, lead, C):
    return [new(*lead, C)], []


def softmax_cross_entropy(new, lead, V):
    return [new(*lead, V)], [new.integers(V, *lead)]


CASES = {
    case.__name__: case
    for case in (
        add,
        causal_attention,
        cross_entropy_of_counts,
        embedding,
        linear,
        relu_squared,
        rms_norm,
        softmax_cross_entropy,
    )
}


@st.composite
def operands_of(draw, name, new, **fixed):
    """(operands, constants) of a case, of drawn sizes but for those in ``fixed``."""
    drawn = {letter: draw(_SIZES.get(letter, sizes)) for letter in _letters(name)}
    return CASES[name](new, **drawn | {letter: size for letter, size in fixed.items() if letter in drawn})


def example_of(name, new):
    """(operands, constants) of a case, of middling sizes."""
    return CASES[name](new, **{letter: _EXAMPLE[letter] for letter in _letters(name)})


def _letters(name):
    """The sizes that a case asks for."""
    return list(inspect.signature(CASES[name]).parameters)[1:]


def implementation(name, path):
    """The function of an operation as its "reference" or as its "fused" kernel, where it has one."""
    if path == "fused" and name in kernels.TABLE:
        return kernels.kernel(name)
    return inspect.unwrap(getattr(ops, name))


def pair(name, path):
    """(forward, backward) of an operation."""
    return implementation(name, path), implementation(f"{name}_backward", path)
