import numpy as np

from nanochat_np import ops


def test_squares_what_is_positive_and_is_flat_elsewhere():
    y, cache = ops.relu_squared(np.array([-2.0, -0.0, 0.0, 0.5, 3.0]))
    np.testing.assert_array_equal(y, [0, 0, 0, 0.25, 9])
    np.testing.assert_array_equal(ops.relu_squared_backward(np.full(5, 7.0), cache), [0, 0, 0, 7, 42])


def test_infinity():
    y, _ = ops.relu_squared(np.array([-np.inf, np.inf]))
    np.testing.assert_array_equal(y, [0, np.inf])
