"""Clipping, and the optimizer that holds settings and state."""

import numpy as np
import pytest

from nanochat_np.optim.clip import clip_by_norm
from nanochat_np.optim.optimizer import Optimizer, update
from nanochat_np.optim.sgd import sgd_update


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(("limit", "clipped"), [(0, [3, 4]), (5, [3, 4]), (6, [3, 4]), (2.5, [1.5, 2])])
def test_clips_to_the_limit_and_returns_the_norm_before(dtype, limit, clipped):
    g = np.array([3, 4], dtype)
    norm = clip_by_norm(g, limit)
    assert norm == 5
    assert norm.dtype == g.dtype == dtype
    np.testing.assert_allclose(g, clipped, rtol=1e-7)


def test_no_gradient_is_not_an_error():
    g = np.zeros(3, np.float32)
    assert clip_by_norm(g, 1.0) == 0
    np.testing.assert_array_equal(g, 0)


@pytest.mark.parametrize("wrong", [np.nan, np.inf])
def test_a_gradient_that_is_not_finite_is_not_hidden(wrong):
    g = np.array([1.0, wrong])
    with np.errstate(invalid="ignore"):
        assert not np.isfinite(clip_by_norm(g, 1.0))
    assert np.isnan(g[1])


def test_update_clips_first():
    p, g = np.zeros(2), np.array([30.0, 40.0])
    norm = update(Optimizer.sgd(p, grad_clip=5.0), p, g, 0.1, 1)
    assert norm == 50
    np.testing.assert_allclose(p, [-0.3, -0.4])


def test_sgd_keeps_a_velocity():
    p, g = np.zeros(2), np.array([1.0, -2.0])
    optimizer = Optimizer.sgd(p, momentum=0.5)
    for _ in range(3):
        update(optimizer, p, g.copy(), 0.1, 1)
    np.testing.assert_allclose(optimizer.m, 1.75 * g)
    np.testing.assert_allclose(p, -0.1 * (1 + 1.5 + 1.75) * g)
    assert optimizer.v.size == 0


def test_adamw_keeps_two_moments_and_counts_steps_from_one():
    p, g = np.zeros(2), np.array([1.0, -2.0])
    optimizer = Optimizer.adamw(p, 0.9, 0.99, 0.0)
    for step in (1, 2):
        update(optimizer, p, g.copy(), 0.1, step)
    np.testing.assert_allclose(optimizer.m, (1 - 0.9**2) * g)
    np.testing.assert_allclose(optimizer.v, (1 - 0.99**2) * g * g)
    np.testing.assert_allclose(p, -0.2 * np.sign(g), rtol=1e-6)  # equal gradients: the correction takes out the start


@pytest.mark.parametrize("make", [Optimizer.sgd, lambda p: Optimizer.adamw(p, 0.9, 0.99, 0.0)])
def test_state_is_of_the_parameters_precision_and_its_own(make):
    p = np.ones(4, np.float32)
    optimizer = make(p)
    assert optimizer.m.dtype == optimizer.v.dtype == np.float32
    np.testing.assert_array_equal(optimizer.m, np.zeros(4))
    assert not np.shares_memory(optimizer.m, optimizer.v)


def test_reads_only_the_gradient_that_it_is_given():
    p, g = np.ones(2), np.array([1.0, 2.0])
    sgd_update(p, g, np.zeros(2), 0.5, 0.9)
    np.testing.assert_array_equal(g, [1, 2])
    np.testing.assert_array_equal(p, [0.5, 0])
