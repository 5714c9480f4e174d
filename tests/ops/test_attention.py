import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nanochat_np import ops
from tests.gradcheck import assert_close
from tests.strategies import New, few, news, sizes


def test_one_key_gives_its_value():
    q, k, v = New()(2, 3, 1, 4), New(1)(2, 3, 1, 4), New(2)(2, 3, 1, 4)
    o, cache = ops.causal_attention(q, k, v)
    np.testing.assert_array_equal(o, v)
    dq, dk, dv = ops.causal_attention_backward(v, cache)
    np.testing.assert_allclose(dq, 0, atol=1e-15)
    np.testing.assert_allclose(dk, 0, atol=1e-15)
    np.testing.assert_array_equal(dv, v)


def test_equal_keys_give_the_mean_of_what_has_been():
    v = np.arange(8.0).reshape(1, 1, 4, 2)
    o, (_, _, _, p) = ops.causal_attention(np.zeros_like(v), np.ones_like(v), v)
    np.testing.assert_allclose(o[0, 0], [[0, 1], [1, 2], [2, 3], [3, 4]], rtol=1e-15)
    np.testing.assert_allclose(p[0, 0], np.tril(np.ones((4, 4))) / np.arange(1, 5)[:, None], rtol=1e-15)


def test_scores_are_divided_by_the_root_of_the_width():
    q = np.full((1, 1, 2, 4), 0.5)  # q·k = 0 for the first key, 2 for the second: 1 after division by sqrt(4)
    k = np.array([0.0, 1.0])[None, None, :, None] * np.ones(4)
    _, (_, _, _, p) = ops.causal_attention(q, k, k)
    np.testing.assert_allclose(p[0, 0, 1], np.exp([0, 1]) / (1 + np.e), rtol=1e-14)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_scores_of_ten_thousand_do_not_overflow(dtype):
    q = np.full((1, 1, 3, 1), 1e4, dtype)
    k = np.array([-1, 1, 0], dtype).reshape(1, 1, 3, 1)
    o, cache = ops.causal_attention(q, k, k)
    np.testing.assert_allclose(o[0, 0, :, 0], [-1, 1, 1])
    for gradient in ops.causal_attention_backward(np.ones_like(o), cache):
        assert np.isfinite(gradient).all()


@pytest.mark.parametrize("time", [3, 40])  # 40 is past the kernel's range
def test_the_future_is_not_seen(time):
    new = New()
    q, k, v = (new(1, 2, time, 3) for _ in range(3))
    changed_k, changed_v = k.copy(), v.copy()
    changed_k[:, :, -1] += 5
    changed_v[:, :, -1] += 5
    before, after = ops.causal_attention(q, k, v)[0], ops.causal_attention(q, changed_k, changed_v)[0]
    np.testing.assert_array_equal(before[:, :, :-1], after[:, :, :-1])
    assert (before[:, :, -1] != after[:, :, -1]).all()


@few
@given(st.integers(1, 3), sizes, sizes, sizes, sizes, news("float32", "float64"))
def test_queries_behind_a_cache_are_the_last_of_all(batch, n_head, time, earlier, head_dim, new):
    q, k, v = (new(batch, n_head, earlier + time, head_dim) for _ in range(3))
    full, _ = ops.causal_attention(q, k, v)
    last, _ = ops.causal_attention(q[:, :, earlier:], k, v)
    assert_close(last, full[:, :, earlier:], new.dtype)


@few
@given(sizes, sizes, sizes, sizes, news("float64"))
def test_heads_are_split_and_merged(batch, time, n_head, head_dim, new):
    x = new(batch, time, n_head * head_dim)
    heads = ops.split_heads(x, n_head)
    assert heads.shape == (batch, n_head, time, head_dim)
    np.testing.assert_array_equal(heads[:, 0], x[..., :head_dim])  # a head is a run of neighbouring channels
    np.testing.assert_array_equal(ops.merge_heads(heads), x)
    dy = new(batch, n_head, time, head_dim)
    np.testing.assert_allclose(np.vdot(dy, heads), np.vdot(ops.merge_heads(dy), x))  # and so its own backward
