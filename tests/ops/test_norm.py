import numpy as np
import pytest

from nanochat_np import ops
from nanochat_np.ops.norm import EPS


def test_zeros_stay_zero_and_have_the_slope_of_eps():
    y, cache = ops.rms_norm(np.zeros((2, 3)))
    np.testing.assert_array_equal(y, np.zeros((2, 3)))
    dx = ops.rms_norm_backward(np.ones((2, 3)), cache)
    np.testing.assert_allclose(dx, 1 / np.sqrt(EPS), rtol=1e-15)


def test_known_values():
    y, cache = ops.rms_norm(np.array([3.0, -4.0]), 0.5)
    np.testing.assert_allclose(y, np.array([3, -4]) / np.sqrt(13), rtol=1e-15)
    np.testing.assert_allclose(cache[1], [1 / np.sqrt(13)], rtol=1e-15)


def test_eps_can_be_named():
    x = np.array([[1.0, 2.0]])
    np.testing.assert_array_equal(ops.rms_norm(x, eps=1.0)[0], ops.rms_norm(x, 1.0)[0])
    assert ops.rms_norm(x, eps=1.0)[0][0, 0] < ops.rms_norm(x)[0][0, 0]


def test_forgets_the_scale_of_its_input():
    x = np.random.default_rng(0).normal(size=(4, 8))
    np.testing.assert_allclose(ops.rms_norm(1e6 * x)[0], ops.rms_norm(1e3 * x)[0], rtol=1e-9)
    # and so the gradient has nothing along the input, but for eps
    dx = ops.rms_norm_backward(np.ones_like(x), ops.rms_norm(1e3 * x)[1])
    np.testing.assert_allclose(np.sum(dx * x, -1), 0, atol=1e-12)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_keeps_the_precision_of_its_input(dtype):
    y, (kept, rstd) = ops.rms_norm(np.ones((2, 3), dtype))
    assert y.dtype == kept.dtype == rstd.dtype == dtype
    assert rstd.shape == (2, 1)
