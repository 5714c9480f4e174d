"""The compiled passes of Muon beside their references."""

import inspect

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nanochat_np import kernels
from nanochat_np.optim import muon
from tests.gradcheck import assert_close
from tests.strategies import few, news, sizes


def both(name):
    """The reference and the kernel."""
    return inspect.unwrap(getattr(muon, name)), kernels.kernel(name)


@few
@given(news("float32", "float64"), sizes, sizes, sizes)
def test_momentum(new, count, rows, columns):
    g, start = new(count, rows, columns), np.ascontiguousarray(new(count, rows, columns))
    before, results = g.tobytes(), []
    for function in both("nesterov"):
        momentum_buffer = start.copy()
        results.append((function(g, momentum_buffer, 0.9, 0.5), momentum_buffer))
    for fused, expected in zip(*results[::-1], strict=True):
        np.testing.assert_array_equal(fused, expected)  # the same bits
        assert fused.dtype == expected.dtype
    assert g.tobytes() == before


@pytest.mark.parametrize("axis", [-1, -2])
@few
@given(news("float32", "float64"), sizes, sizes, sizes)
def test_square_sums(axis, new, count, rows, columns):
    x = new(count, rows, columns)
    expected, found = (function(x, axis) for function in both("square_sums"))
    assert_close(found, expected, new.dtype)
    assert found.dtype == expected.dtype


@few
@given(news("float32", "float64"), sizes, sizes)
def test_polynomial(new, count, k):
    s, square = new(count, k, k), new(count, k, k)
    expected, found = (function(s, square.copy(), 3.0, -2.0, 0.5) for function in both("polynomial"))
    assert_close(found, expected, new.dtype)
    assert_close(found, 3 * np.eye(k) - 2 * s + 0.5 * square, new.dtype)


@few
@given(news("float32", "float64"), sizes, sizes, sizes, st.sampled_from([0.0, 0.3]))
def test_descent(new, count, rows, columns, weight_decay):
    p, x = (np.ascontiguousarray(new(count, rows, columns)) for _ in range(2))
    x[0, 0, 0] = 0  # no step either way: decay joins
    results = []
    for function in both("cautious_descent"):
        results.append(p.copy())
        function(results[-1], x, 0.1, weight_decay)
    np.testing.assert_array_equal(*results)
    assert_close(results[0], np.where(x * p >= 0, p - 0.1 * x - 0.1 * weight_decay * p, p - 0.1 * x), new.dtype)


@pytest.mark.parametrize("shape", [(20, 20), (70, 30), (30, 70)])
def test_an_update(shape):
    rng = np.random.default_rng(0)
    g = rng.standard_normal((3, 2, *shape)).astype(np.float32)
    results = []
    for context in (kernels.reference_only, kernels.contextlib.nullcontext):
        state = np.ones((2, *shape), np.float32), np.zeros((2, *shape), np.float32)
        second = np.zeros((2, *muon.second_moment_shape(*shape)), np.float32)
        with context():
            for k in range(3):
                muon.muon_update(state[0], g[k], state[1], second, 0.02, 0.9, 0.9, 0.1, 2.0)
        results.append((*state, second))
    for fused, expected in zip(*results[::-1], strict=True):
        np.testing.assert_allclose(fused, expected, rtol=1e-4, atol=1e-5)
