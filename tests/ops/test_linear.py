import numpy as np

from nanochat_np import ops


def test_known_values():
    x, w = np.array([[[1.0, 2.0]], [[3.0, 4.0]]]), np.array([[1.0, 0.0], [0.0, 1.0], [1.0, -1.0]])
    y, cache = ops.linear(x, w)
    np.testing.assert_array_equal(y, [[[1, 2, -1]], [[3, 4, -1]]])
    dx, dw = ops.linear_backward(np.array([[[1.0, 0.0, 0.0]], [[0.0, 0.0, 2.0]]]), cache)
    np.testing.assert_array_equal(dx, [[[1, 0]], [[2, -2]]])
    np.testing.assert_array_equal(dw, [[1, 2], [0, 0], [6, 8]])
