import numpy as np

from nanochat_np import ops
from nanochat_np.ops.linear import add_linear_backward
from nanochat_np.ops.matmul import packed


def test_known_values():
    x, w = np.array([[[1.0, 2.0]], [[3.0, 4.0]]]), np.array([[1.0, 0.0], [0.0, 1.0], [1.0, -1.0]])
    y, cache = ops.linear(x, w)
    np.testing.assert_array_equal(y, [[[1, 2, -1]], [[3, 4, -1]]])
    dx, dw = ops.linear_backward(np.array([[[1.0, 0.0, 0.0]], [[0.0, 0.0, 2.0]]]), cache)
    np.testing.assert_array_equal(dx, [[[1, 0]], [[2, -2]]])
    np.testing.assert_array_equal(dw, [[1, 2], [0, 0], [6, 8]])


def test_into_gradients_that_are_there_already():
    rng = np.random.default_rng(0)
    x, w, dy, dw, dx = (rng.standard_normal(shape) for shape in ((2, 5, 3), (4, 3), (2, 5, 4), (4, 3), (2, 5, 3)))
    more_dx, more_dw = ops.linear_backward(dy, (x, w))
    for given in (x, packed(x.reshape(-1, 3))):
        sums = dw.copy(), dx.copy()
        assert add_linear_backward(sums[0], dy, (given, w), sums[1]) is sums[1]
        np.testing.assert_allclose(sums[0], dw + more_dw)
        np.testing.assert_allclose(sums[1], dx + more_dx)
        np.testing.assert_allclose(add_linear_backward(sums[0], dy, (given, w)), more_dx)
