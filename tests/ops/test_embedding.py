import numpy as np

from nanochat_np import ops


def test_takes_rows():
    w = np.arange(6.0).reshape(3, 2)
    y, _ = ops.embedding(w, np.array([[2, 0], [2, 2]]))
    np.testing.assert_array_equal(y, [[[4, 5], [0, 1]], [[4, 5], [4, 5]]])
    assert not np.shares_memory(y, w)


def test_a_row_taken_often_receives_every_gradient():
    dy = np.array([[1.0, 10.0], [2.0, 20.0], [4.0, 40.0], [8.0, 80.0]])
    dw = ops.embedding_backward(dy, (np.array([1, 3, 1, 1]), 5))
    np.testing.assert_array_equal(dw, [[0, 0], [13, 130], [0, 0], [2, 20], [0, 0]])


def test_indices_of_any_width():
    dy = np.ones((2, 3), np.float32)
    for dtype in (np.uint8, np.int32, np.int64):
        np.testing.assert_array_equal(ops.embedding_backward(dy, (np.array([0, 0], dtype), 2)), [[2] * 3, [0] * 3])
