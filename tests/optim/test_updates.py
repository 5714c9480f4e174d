"""SGD and AdamW: the formula in plain Python floats, the array operations and the kernel."""

import inspect
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nanochat_np import kernels
from nanochat_np.optim.adamw import adamw_update
from nanochat_np.optim.sgd import sgd_update
from tests.gradcheck import assert_close
from tests.strategies import few, seeds

dtypes = st.sampled_from(["float32", "float64"])
rates = st.floats(1e-4, 1)


def sgd_by_hand(p, g, velocity, lr, momentum):
    velocity = [momentum * v + gi for v, gi in zip(velocity, g, strict=True)]
    return [x - lr * v for x, v in zip(p, velocity, strict=True)], velocity


def adamw_by_hand(p, g, m, v, lr, beta1, beta2, eps, weight_decay, step):
    m = [beta1 * a + (1 - beta1) * b for a, b in zip(m, g, strict=True)]
    v = [beta2 * a + (1 - beta2) * b * b for a, b in zip(v, g, strict=True)]
    updated = []
    for x, a, b in zip(p, m, v, strict=True):
        m_hat, v_hat = a / (1 - beta1**step), b / (1 - beta2**step)
        updated.append(x - lr * (m_hat / (math.sqrt(v_hat) + eps) + weight_decay * x))
    return updated, m, v


def after_three_steps(function, n_state, dtype, seed, settings):
    """p and its state.  ``function`` returns new ones, or None where it wrote those that it was given."""
    rng = np.random.default_rng(seed)
    values = (rng.standard_normal((1 + n_state, 5)) ** 2).astype(dtype)
    for step in (1, 2, 3):
        g = rng.standard_normal(5).astype(dtype)
        before = g.tobytes()
        written = function(values[0], g, *values[1:], *settings(step))
        assert g.tobytes() == before
        values = values if written is None else written
    return values


def check(update, by_hand, n_state, dtype, seed, settings):
    ways = inspect.unwrap(update), kernels.kernel(update.__name__), by_hand
    by_reference, by_kernel, expected = (after_three_steps(f, n_state, dtype, seed, settings) for f in ways)
    np.testing.assert_array_equal(by_kernel, by_reference)  # the same bits
    assert_close(by_reference, expected, dtype)


@few
@given(dtypes, seeds, rates, st.floats(0.01, 0.99))
def test_sgd_with_momentum(dtype, seed, lr, momentum):
    check(sgd_update, sgd_by_hand, 1, dtype, seed, lambda step: (lr, momentum))


@few
@given(dtypes, seeds, rates, st.floats(0, 0.99), st.floats(0, 0.999), st.floats(0, 1))
def test_adamw(dtype, seed, lr, beta1, beta2, weight_decay):
    check(adamw_update, adamw_by_hand, 2, dtype, seed, lambda step: (lr, beta1, beta2, 1e-8, weight_decay, step))


@pytest.mark.parametrize("update", [inspect.unwrap(sgd_update), kernels.kernel("sgd_update")])
def test_plain_sgd_leaves_the_velocity_alone(update):
    p, velocity = np.array([1.0, 2.0]), np.array([np.nan, 7.0])
    update(p, np.array([10.0, -10.0]), velocity, 0.1, 0.0)
    np.testing.assert_array_equal(p, [0, 3])
    np.testing.assert_array_equal(velocity, [np.nan, 7])


def test_the_first_step_of_adamw_is_the_learning_rate_in_size():
    p = np.zeros(3)
    adamw_update(p, np.array([1e-3, -50.0, 2.0]), np.zeros(3), np.zeros(3), 0.1, 0.9, 0.999, 1e-8, 0.0, 1)
    np.testing.assert_allclose(p, [-0.1, 0.1, -0.1], rtol=1e-4)


def test_weight_decay_is_decoupled_from_the_gradient():
    p = np.array([2.0, -4.0])
    adamw_update(p, np.zeros(2), np.zeros(2), np.zeros(2), 0.1, 0.9, 0.999, 1e-8, 0.5, 1)
    np.testing.assert_allclose(p, [1.9, -3.8])
