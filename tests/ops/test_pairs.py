"""What holds for every pair: its gradient, by differences and by the scalar tape, and that NaN is never hidden."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nanochat_np import ops
from nanochat_np.scalar.derived import sum_over
from nanochat_np.scalar.ops import ScalarOps
from nanochat_np.scalar.tape import Tape
from tests.gradcheck import as_tuple, gradcheck
from tests.ops.cases import CASES, example_of, operands_of, pair
from tests.strategies import New, few, news

every_pair = pytest.mark.parametrize("name", CASES)


def test_every_pair_has_a_case():
    pairs = {name.removesuffix("_backward") for name in ops.__all__ if name.endswith("_backward")}
    assert pairs == set(CASES)


@every_pair
@few
@given(data=st.data(), new=news("float64"))
def test_backward_is_the_derivative(name, path, data, new):
    operands, constants = data.draw(operands_of(name, new))
    gradcheck(*pair(name, path), operands, constants, new=new, newly_allocated=name != "add")


@pytest.mark.parametrize("name", [name for name in CASES if hasattr(ScalarOps, name)])
@few
@given(data=st.data(), new=news("float64"))
def test_values_and_gradients_are_those_of_the_scalar_tape(name, path, data, new):
    operands, constants = data.draw(operands_of(name, new, earlier=0))
    forward, backward = pair(name, path)
    y, cache = forward(*operands, *constants)
    dy = new(*np.shape(y)) if np.ndim(y) else 1.5

    tape = Tape()
    nodes = [tape.leaf(x) for x in operands]
    slots = [np.arange(ids.size).reshape(ids.shape) for ids in constants]
    recorded, _ = getattr(ScalarOps(tape), name)(*nodes, *slots)
    loss = sum_over(tape, tape.mul(recorded, tape.leaf(dy)).reshape(-1))
    tape.replay(np.concatenate([ids.reshape(-1) for ids in constants] or [np.zeros(0, int)]))
    _assert_equal(y, tape.values(recorded))
    tape.backward(loss)
    for gradient, x, node in zip(as_tuple(backward(dy, cache)), operands, nodes, strict=True):
        terms = np.abs(dy).max() * max(1.0, np.abs(x).max()) ** 2  # the size of what may cancel within an element
        _assert_equal(gradient, tape.grads(node), terms)


def _assert_equal(actual, expected, terms=1.0):
    np.testing.assert_allclose(actual, expected, rtol=1e-10, atol=1e-10 * terms)


@every_pair
def test_nan_in_is_nan_out(name, path):
    forward, backward = pair(name, path)
    for poisoned in range(len(example_of(name, New())[0])):
        operands, constants = example_of(name, New())
        operands[poisoned].flat[0] = np.nan
        if name == "embedding":
            constants[0].flat[0] = 0
        y, _ = forward(*operands, *constants)
        assert np.isnan(y).any()

    operands, constants = example_of(name, New())
    y, cache = forward(*operands, *constants)
    dy = np.ones_like(y)
    dy.flat[0] = np.nan
    for gradient in as_tuple(backward(dy if dy.ndim else np.nan, cache)):
        assert np.isnan(gradient).any()
