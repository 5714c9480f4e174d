import numpy as np

from nanochat_np import ops


def test_adds_and_hands_the_gradient_to_both_sides():
    z, cache = ops.add(np.ones((2, 3, 4)), np.arange(12.0).reshape(3, 4))
    np.testing.assert_array_equal(z, np.broadcast_to(1 + np.arange(12.0).reshape(3, 4), (2, 3, 4)))
    dz = np.ones((2, 3, 4))
    assert all(d is dz for d in ops.add_backward(dz, cache))
