import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from nanochat_np.scalar.tape import Tape
from tests.scalar.oracle import check

settings = settings(deadline=None, max_examples=20)


def reals(low, high):
    return arrays.arrays(np.float64, st.integers(1, 4), elements=st.floats(low, high))


def away_from_zero(x):
    return x + np.where(x < 0, -0.01, 0.01)


@settings
@given(reals(-3, 3))
def test_add_and_mul(x):
    y = np.linspace(-1, 2, x.size)
    check(Tape.add, np.add, x, y)
    check(Tape.mul, np.multiply, x, y)
    check(lambda tape, a: tape.mul(a, a), np.square, x)
    check(lambda tape, a: tape.add(a, a), lambda a: 2 * a, x)


@settings
@given(reals(-3, 3))
def test_exp_and_relu(x):
    check(Tape.exp, np.exp, x)
    check(Tape.relu, lambda a: np.maximum(a, 0), away_from_zero(x))


@settings
@given(reals(0.1, 3), st.sampled_from([-2.0, -1.0, -0.5, 0.0, 0.5, 1.0, 3.0]))
def test_log_and_pow(x, exponent):
    check(Tape.log, np.log, x)
    check(lambda tape, a: tape.pow(a, exponent), lambda a: a**exponent, x)


def test_operands_broadcast():
    rng = np.random.default_rng(1)
    check(Tape.mul, np.multiply, rng.normal(size=(2, 1, 3)), rng.normal(size=(4, 1)))
    check(Tape.add, np.add, rng.normal(size=(2, 3)), rng.normal(size=()))


@pytest.mark.parametrize(
    ("record", "x", "value", "slope"),
    [
        (Tape.relu, 0.0, 0.0, 0.0),
        (Tape.relu, -1.0, 0.0, 0.0),
        (lambda tape, a: tape.pow(a, 0.0), 0.0, 1.0, 0.0),
        (lambda tape, a: tape.pow(a, 1.0), 0.0, 0.0, 1.0),
        (lambda tape, a: tape.pow(a, 3.0), -2.0, -8.0, 12.0),
        (lambda tape, a: tape.pow(a, -1.0), 0.0, np.inf, -np.inf),
        (lambda tape, a: tape.pow(a, 0.5), -1.0, np.nan, np.nan),
        (Tape.log, 0.0, -np.inf, np.inf),
        (Tape.log, -1.0, np.nan, -1.0),
        (Tape.exp, 1000.0, np.inf, np.inf),
        (Tape.relu, np.nan, np.nan, 0.0),
    ],
)
def test_edges_follow_ieee_754_without_a_word(record, x, value, slope):
    tape = Tape()
    leaf = tape.leaf(x)
    node = record(tape, leaf)
    tape.backward(node)
    np.testing.assert_equal(tape.values(node), value)
    np.testing.assert_equal(tape.grads(leaf), slope)


def test_nodes_of_one_run_may_depend_on_each_other():
    tape = Tape()
    x = int(tape.leaf(1.01))
    node = x
    for _ in range(6):
        node = tape.mul(node, node)
    assert tape.recording.runs == 2  # the leaf, and all products
    tape.backward(node)
    np.testing.assert_allclose(tape.values(node), 1.01**64)
    np.testing.assert_allclose(tape.grads(x), 64 * 1.01**63)


def test_a_chain_of_100_000_nodes():
    tape = Tape()
    x, factor, shift = (int(tape.leaf(value)) for value in (0.5, 0.99999, 1e-6))
    node = x
    for _ in range(50_000):
        node = tape.add(tape.mul(node, factor), shift)
    tape.backward(node)
    power = 0.99999**50_000
    np.testing.assert_allclose(tape.values(node), 0.5 * power + 1e-6 * (1 - power) / (1 - 0.99999), rtol=1e-9)
    np.testing.assert_allclose(tape.grads(x), power, rtol=1e-9)


def test_gradients_are_of_one_call_and_of_one_node():
    tape = Tape()
    x = tape.leaf([2.0, 3.0])
    square, cube = tape.pow(x, 2.0), tape.pow(x, 3.0)
    tape.backward(cube[0])
    tape.backward(square[0])
    np.testing.assert_array_equal(tape.grads(x), [4.0, 0.0])
    np.testing.assert_array_equal(tape.grads(cube), [0.0, 0.0])
    tape.backward(x[1])
    np.testing.assert_array_equal(tape.grads(x), [0.0, 1.0])


@pytest.mark.parametrize(
    "aside",
    [
        Tape.log,
        lambda tape, x: tape.pow(x, -1.0),
        lambda tape, x: tape.exp(tape.add(x, tape.constant(1000.0))),
        lambda tape, x: tape.mul(x, tape.constant(np.inf)),
    ],
)
def test_a_node_off_the_path_does_not_spoil_a_gradient(aside):
    tape = Tape()
    x = tape.leaf(0.0)
    aside(tape, x)
    y = tape.add(x, x)
    aside(tape, x)
    tape.backward(y)
    assert tape.grads(x) == 2.0


def test_values_follow_a_leaf_and_later_recordings():
    tape = Tape()
    x = tape.leaf([1.0, 2.0])
    y = tape.add(x, x)
    np.testing.assert_array_equal(tape.values(y), [2.0, 4.0])
    z = tape.add(y, x)  # grows the run that was computed
    np.testing.assert_array_equal(tape.values(z), [3.0, 6.0])
    tape.assign(x, [5.0, 7.0])
    np.testing.assert_array_equal(tape.values(z), [15.0, 21.0])
    with pytest.raises(ValueError, match="only leaves"):
        tape.assign(z, 0.0)


def test_a_constant_is_recorded_once():
    tape = Tape()
    assert tape.constant(0.5) == tape.constant(0.5)
    assert tape.constant(float("nan")) == tape.constant(float("nan"))
    assert np.signbit(tape.values([tape.constant(0.0), tape.constant(-0.0)])).tolist() == [False, True]


def selected(tape, table):
    """Two rows of ``table`` (V, C) chosen by slots 1 and 0, and of their product the element chosen by slot 2."""
    rows = tape.gather(np.swapaxes(table, 0, 1), np.array([1, 0])[:, None])
    return tape.gather(tape.mul(rows[0], rows[1]), 2)


def test_gather_follows_the_inputs():
    table = np.random.default_rng(2).normal(size=(5, 3))
    for first, second, column in [(0, 4, 2), (3, 3, 0)]:
        check(selected, lambda w, i=first, j=second, c=column: (w[j] * w[i])[c], table, inputs=(first, second, column))


def test_a_replay_is_what_a_new_recording_gives():
    table = np.random.default_rng(3).normal(size=(4, 3))

    def recorded():
        tape = Tape()
        leaves = tape.leaf(table)
        return tape, leaves, tape.exp(selected(tape, leaves))

    replayed, leaves, y = recorded()
    for inputs in [(0, 1, 2), (2, 2, 1), (3, 0, 0)]:
        fresh, fresh_leaves, fresh_y = recorded()
        for tape, node in [(replayed, y), (fresh, fresh_y)]:
            tape.replay(inputs)
            tape.backward(node)
        assert replayed.values(y) == fresh.values(fresh_y)
        np.testing.assert_array_equal(replayed.grads(leaves), fresh.grads(fresh_leaves))


@pytest.mark.parametrize(
    ("inputs", "message"),
    [
        ((0, 5, 0), r"input 5 at position 1 is outside \[0, 5\)"),
        ((0, 0, 3), r"input 3 at position 2 is outside \[0, 3\)"),
        ((-1, 0, 0), "input -1 at position 0"),
        ((2**32, 0, 0), "input 4294967296 at position 0"),
        ((0, 0), "at least 3 long"),
        ((0.0, 1.0, 1.0), "must be integers"),
        (((0, 1, 1),), "1 axes"),
    ],
)
def test_inputs_are_checked(inputs, message):
    tape = Tape()
    selected(tape, tape.leaf(np.zeros((5, 3))))
    with pytest.raises(ValueError, match=message):
        tape.replay(inputs)


def test_operands_are_checked():
    tape = Tape()
    x = tape.leaf([1.0, 2.0])
    for operand in (2, -1, [0, 2], [0.0, 1.0], np.array([-1])):
        with pytest.raises(ValueError, match="nodes of this tape"):
            tape.add(x, operand)
    with pytest.raises(ValueError, match="evenly spaced"):
        tape.gather(np.array([0, 1, 0]), 0)
