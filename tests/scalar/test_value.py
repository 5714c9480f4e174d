import math

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from nanochat_np.scalar.tape import Tape
from nanochat_np.scalar.value import Value

STEP = 1e-6
KINK = 1e-3  # finite differences say nothing about a function within this distance of a kink

# Each step of a random graph takes two earlier values; the same functions run on Values and on plain numbers.
FUNCTIONS = {
    "add": lambda m, a, b: a + b,
    "sub": lambda m, a, b: a - b,
    "mul": lambda m, a, b: a * b,
    "div": lambda m, a, b: a / (b**2 + 1),
    "pow": lambda m, a, b: a**3 - 2 * b**2,
    "numbers": lambda m, a, b: 3 - (-a) * 0.5 + 1 / (2 + b * b),
    "exp": lambda m, a, b: m.exp(-(a * a)) + b,
    "log": lambda m, a, b: m.log(a * a + 0.5) * b,
    "tanh": lambda m, a, b: m.tanh(a) - b,
    "relu": lambda m, a, b: m.relu(a) + m.relu(-b),
}


class Plain:
    """Functions of plain numbers; ``smallest`` keeps how near a kink they came."""

    exp, log, tanh = math.exp, math.log, math.tanh

    def __init__(self):
        self.smallest = math.inf

    def relu(self, x):
        self.smallest = min(self.smallest, abs(x))
        return max(x, 0.0)


def run(m, program, leaves):
    values = list(leaves)
    for name, i, j in program:
        values.append(FUNCTIONS[name](m, values[i % len(values)], values[-1 - j % len(values)]))
    return values


steps = st.tuples(st.sampled_from(sorted(FUNCTIONS)), st.integers(0, 20), st.integers(0, 20))


@settings(deadline=None, max_examples=60)
@given(st.lists(steps, min_size=1, max_size=12), st.lists(st.floats(-2, 2), min_size=2, max_size=2))
def test_random_graphs_against_finite_differences(program, data):
    plain = Plain()
    expected = run(plain, program, data)
    assume(plain.smallest > KINK and max(map(abs, expected)) < 50)
    with Tape():
        leaves = [Value(x) for x in data]
        values = run(Value, program, leaves)
        values[-1].backward()
    np.testing.assert_allclose([v.data for v in values], expected, rtol=1e-9, atol=1e-9)
    for i, leaf in enumerate(leaves):
        ends = []
        for sign in (1, -1):
            moved = [x + sign * STEP * (i == k) for k, x in enumerate(data)]
            ends.append(run(plain, program, moved)[-1])
        np.testing.assert_allclose(leaf.grad, (ends[0] - ends[1]) / (2 * STEP), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(
    ("expression", "value", "slope"),
    [
        (lambda x: x + 2, 5.0, 1.0),
        (lambda x: 2 + x, 5.0, 1.0),
        (lambda x: x - 2, 1.0, 1.0),
        (lambda x: 2 - x, -1.0, -1.0),
        (lambda x: x * 2, 6.0, 2.0),
        (lambda x: 2 * x, 6.0, 2.0),
        (lambda x: x / 2, 1.5, 0.5),
        (lambda x: 6 / x, 2.0, -2 / 3),
        (lambda x: -x, -3.0, -1.0),
        (lambda x: x**2, 9.0, 6.0),
        (lambda x: x**-1, 1 / 3, -1 / 9),
        (lambda x: np.float64(2) * x, 6.0, 2.0),
        (lambda x: x - np.float32(2), 1.0, 1.0),
        (lambda x: x * x / x, 3.0, 1.0),
        (lambda x: x.exp(), math.exp(3), math.exp(3)),
        (lambda x: x.log(), math.log(3), 1 / 3),
        (lambda x: x.relu(), 3.0, 1.0),
        (lambda x: x.tanh(), math.tanh(3), 1 - math.tanh(3) ** 2),
    ],
)
def test_operators(expression, value, slope):
    with Tape():
        x = Value(3.0)
        y = expression(x)
        y.backward()
    assert isinstance(y, Value)
    assert y.data == pytest.approx(value, rel=1e-14)
    assert x.grad == pytest.approx(slope, rel=1e-12)


def test_what_cannot_be_an_operand():
    x = Value(1.0)
    for expression in (
        lambda: x + "1",
        lambda: "1" - x,
        lambda: x**x,
        lambda: 2**x,
        lambda: x * None,
        lambda: x / np.ones(2),
    ):
        with pytest.raises(TypeError):
            expression()


def test_domain_errors_are_silent():
    with Tape():
        zero = Value(0.0)
        assert (1 / zero).data == math.inf
        assert zero.log().data == -math.inf
        assert math.isnan((zero / zero).data)


def test_repeated_backward_does_not_add_up():
    with Tape():
        x, y = Value(2.0), Value(5.0)
        z = x * y + x
        z.backward()
        z.backward()
    assert (x.grad, y.grad, z.grad) == (6.0, 2.0, 1.0)
    assert repr(x) == "Value(data=2.0, grad=6.0)"


def test_data_of_a_leaf_can_be_set():
    with Tape():
        x = Value(2.0)
        y = x * x
        assert y.data == 4.0
        x.data = 3.0
        assert y.data == 9.0
        with pytest.raises(ValueError, match="only leaves"):
            y.data = 1.0


def test_tapes_nest_and_do_not_mix():
    default = Value(1.0)
    with Tape() as outer:
        a = Value(1.0)
        with Tape() as inner:
            b = Value(2.0)
        with outer:
            c = Value(3.0)
        d = Value(4.0)
    assert (a.tape, b.tape, c.tape, d.tape) == (outer, inner, outer, outer)
    assert Value(2.0).tape is default.tape is not outer
    assert Value(1.0, inner).tape is inner
    assert (a + c).data == 4.0
    with pytest.raises(ValueError, match="two tapes"):
        a * b
