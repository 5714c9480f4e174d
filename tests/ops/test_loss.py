import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nanochat_np import ops
from tests.gradcheck import assert_close
from tests.strategies import few, news, sizes

dtypes = pytest.mark.parametrize("dtype", ["float32", "float64"])


@dtypes
@pytest.mark.parametrize("level", [0.0, -3.0, 1e4])
def test_uniform_logits_give_ln_v(dtype, level):
    loss, cache = ops.softmax_cross_entropy(np.full((2, 3, 7), level, dtype), np.zeros((2, 3), int))
    assert loss == pytest.approx(math.log(7), rel=1e-6)
    assert loss.dtype == dtype
    dz = ops.softmax_cross_entropy_backward(1.0, cache)
    np.testing.assert_allclose(dz[0, 0], [-1 / 7, *[1 / 42] * 6], rtol=1e-5)


@dtypes
@pytest.mark.parametrize("level", [1e4, 1e30])
def test_extreme_logits_give_a_finite_loss(dtype, level):
    logits = np.array([[level, 0, -level]], dtype)
    for target, expected in enumerate([0, level, 2 * level]):
        loss, cache = ops.softmax_cross_entropy(logits, np.array([target]))
        assert loss == pytest.approx(expected, rel=1e-6)
        onehot = np.arange(3) == target
        np.testing.assert_allclose(ops.softmax_cross_entropy_backward(1.0, cache), [[1, 0, 0] - onehot], atol=1e-30)
    log_p = ops.log_softmax(logits)
    np.testing.assert_allclose(log_p, [[0, -level, -2 * level]], rtol=1e-6)


def test_known_values():
    logits = np.log([[1.0, 3.0], [4.0, 1.0]])
    loss, cache = ops.softmax_cross_entropy(logits, np.array([1, 1]))
    assert loss == pytest.approx((math.log(4 / 3) + math.log(5)) / 2)
    dz = ops.softmax_cross_entropy_backward(4.0, cache)  # of four times the loss
    np.testing.assert_allclose(dz, [[0.5, -0.5], [1.6, -1.6]])


def test_one_token_is_certain():
    loss, cache = ops.softmax_cross_entropy(np.array([[5.0]]), np.array([0]))
    assert loss == 0
    assert ops.softmax_cross_entropy_backward(1.0, cache) == 0


@few
@given(sizes, sizes, st.integers(1, 12), st.floats(-3, 3), news("float32", "float64"))
def test_counts_are_the_rows_that_they_count(n, v, rows, dloss, new):
    logits, contexts, targets = new(n, v), new.integers(n, rows), new.integers(v, rows)
    counts = np.zeros((n, v), new.dtype)
    np.add.at(counts, (contexts, targets), 1)
    by_rows, rows_cache = ops.softmax_cross_entropy(logits[contexts], targets)
    by_counts, counts_cache = ops.cross_entropy_of_counts(logits, counts)
    assert_close(by_counts, by_rows, new.dtype)
    dz = np.zeros((n, v), new.dtype)
    np.add.at(dz, contexts, ops.softmax_cross_entropy_backward(dloss, rows_cache))
    dz_of_counts = ops.cross_entropy_of_counts_backward(dloss, counts_cache)
    assert_close(dz_of_counts, dz, new.dtype)
    assert dz_of_counts.dtype == by_counts.dtype == new.dtype
