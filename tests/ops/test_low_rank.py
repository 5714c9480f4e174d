"""The product of two thin matrices: its gradient, and adding it to what is there."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from nanochat_np.ops.low_rank import add_low_rank, low_rank, low_rank_backward
from tests.gradcheck import gradcheck
from tests.strategies import few, news, sizes


@few
@given(new=news("float64"), rows=sizes, rank=sizes, columns=sizes, scale=st.sampled_from([0.25, 1.0, 3.0]))
def test_low_rank(new, rows, rank, columns, scale):
    gradcheck(lambda b, a: low_rank(b, a, scale), low_rank_backward, [new(rows, rank), new(rank, columns)], new=new)


def test_known_values():
    b, a = np.array([[1.0], [2.0]]), np.array([[3.0, 0.0, 5.0]])
    np.testing.assert_array_equal(low_rank(b, a, 2.0)[0], [[6, 0, 10], [12, 0, 20]])
    w = np.ones((2, 3))
    add_low_rank(w, b, a, -1.0)
    np.testing.assert_array_equal(w, [[-2, 1, -4], [-5, 1, -9]])
