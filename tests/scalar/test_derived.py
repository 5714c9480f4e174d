import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from nanochat_np.scalar import derived
from nanochat_np.scalar.tape import Tape
from tests.scalar.oracle import check


@settings(deadline=None, max_examples=20)
@given(arrays.arrays(np.float64, st.integers(1, 4), elements=st.floats(-3, 3)))
def test_elementwise(x):
    y = np.linspace(1, 2, x.size)
    check(derived.neg, np.negative, x)
    check(derived.sub, np.subtract, x, y)
    check(derived.div, np.divide, x, y)
    check(derived.tanh, np.tanh, x)
    check(derived.maximum, np.maximum, x, x + np.where(y < 1.5, 1.0, -1.0))


@pytest.mark.parametrize("x", [-1e308, -1e3, -20.0, 0.0, 20.0, 1e3, 1e308])
def test_tanh_does_not_overflow(x):
    tape = Tape()
    leaf = tape.leaf(x)
    node = derived.tanh(tape, leaf)
    tape.backward(node)
    np.testing.assert_allclose(tape.values(node), np.tanh(x), rtol=1e-15)
    np.testing.assert_allclose(tape.grads(leaf), np.float64(1) - np.tanh(x) ** 2, atol=1e-15)


def test_on_a_tie_the_gradient_goes_to_the_first():
    tape = Tape()
    a, b = (int(tape.leaf(2.0)) for _ in range(2))
    tape.backward(derived.maximum(tape, a, b))
    assert tape.grads([a, b]).tolist() == [1.0, 0.0]


@pytest.mark.parametrize("axis", [0, 1, -1])
@pytest.mark.parametrize("shape", [(1, 2, 3), (4, 1, 2), (2, 5, 7)])
def test_along_an_axis(shape, axis):
    x = np.random.default_rng(4).normal(size=shape)
    check(lambda tape, a: derived.sum_over(tape, a, axis), lambda a: a.sum(axis), x)
    check(lambda tape, a: derived.mean_over(tape, a, axis), lambda a: a.mean(axis), x)
    check(lambda tape, a: derived.max_over(tape, a, axis), lambda a: a.max(axis), x)


def test_nothing_to_combine():
    with pytest.raises(ValueError, match="size 0"):
        derived.sum_over(Tape(), np.zeros((2, 0), int))


def log_sum_exp(tape, x):
    shift = derived.max_over(tape, x)
    shifted = derived.sub(tape, x, shift[..., None])
    return tape.add(tape.log(derived.sum_over(tape, tape.exp(shifted))), shift)


def test_the_gradient_of_a_shift_by_the_maximum_cancels():
    x = np.random.default_rng(5).normal(size=(2, 5))
    check(log_sum_exp, lambda a: np.log(np.exp(a).sum(-1)), x)
    tape = Tape()
    leaves = tape.leaf([1000.0, 1000.0, -1000.0])
    node = log_sum_exp(tape, leaves)
    tape.backward(node)
    np.testing.assert_allclose(tape.values(node), 1000 + np.log(2), rtol=1e-15)
    np.testing.assert_allclose(tape.grads(leaves), [0.5, 0.5, 0.0], atol=1e-15)
