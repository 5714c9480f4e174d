"""The operations of the nanochat GPT: gradients, edges, and that cutting into blocks or chunks changes nothing."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nanochat_np import ops
from nanochat_np.ops import blockwise_attention as blockwise
from nanochat_np.ops import head
from nanochat_np.ops.gate import sigmoid, sigmoid_gate, sigmoid_gate_backward
from nanochat_np.ops.rotary import rotary, rotary_backward, rotary_tables
from nanochat_np.ops.smear import smear, smear_backward
from tests.gradcheck import gradcheck
from tests.strategies import New, few, news, sizes

windows = st.one_of(st.none(), st.integers(0, 6))


@few
@given(new=news("float64"), lead=st.lists(sizes, max_size=2).map(tuple), time=sizes, half=sizes)
def test_rotary(new, lead, time, half):
    tables = [table.astype(np.float64) for table in rotary_tables(time, 2 * half, base=100.0)]
    gradcheck(rotary, rotary_backward, [new(*lead, time, 2 * half)], tables, new=new)


def test_rotary_turns_by_minus_theta_and_keeps_lengths_and_relative_angles():
    cos, sin = rotary_tables(9, 2, base=100.0)
    y, _ = rotary(np.tile(np.array([1.0, 0.0]), (9, 1)), cos, sin)
    np.testing.assert_allclose(y, np.stack([np.cos(np.arange(9)), -np.sin(np.arange(9))], 1), atol=1e-6)
    np.testing.assert_allclose(np.linalg.norm(y, axis=1), 1, rtol=1e-6)
    np.testing.assert_allclose(y[2] @ y[5], y[4] @ y[7], rtol=1e-5)


@few
@given(new=news("float64"), lead=st.lists(sizes, max_size=2).map(tuple), width=sizes, used=sizes, out=sizes)
def test_sigmoid_gate(new, lead, width, used, out):
    operands = [new(*lead, width), new(out, min(used, width))]

    def backward(dg, cache):
        dpart, dw = sigmoid_gate_backward(dg, cache)
        dx = np.zeros((*lead, width))
        dx[..., : dpart.shape[-1]] = dpart
        return dx, dw

    gradcheck(lambda x, w: sigmoid_gate(x, w, 3.0), backward, operands, new=new)


def test_sigmoid_does_not_overflow():
    np.testing.assert_array_equal(sigmoid(np.array([-1e4, 0.0, 1e4])), [0, 0.5, 1])


@few
@given(new=news("float64"), batch=sizes, time=sizes, width=sizes, used=sizes)
def test_smear(new, batch, time, width, used):
    operands = [new(batch, time, width), new(1, min(used, width)), new(1)]
    gradcheck(smear, smear_backward, operands, new=new)


def test_smear_leaves_the_first_position_and_reads_the_one_before():
    x = np.array([[[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]]])
    y, _ = smear(x, np.zeros((1, 2)), np.array([0.5]))
    np.testing.assert_allclose(y, [[[1, 2], [3.25, 4.5], [5.75, 7]]])


def plain_attention(q, k, v, window):
    """Every score at once, the heads of a group repeated."""
    k, v = (np.repeat(x, q.shape[1] // x.shape[1], axis=1) for x in (k, v))
    time, length = q.shape[2], k.shape[2]
    distance = np.arange(length - time, length)[:, None] - np.arange(length)
    hidden = (distance < 0) | (distance > (length if window is None else window))
    scores = np.where(hidden, -np.inf, q @ k.swapaxes(-1, -2) / np.sqrt(q.shape[-1]))
    e = np.exp(scores - scores.max(-1, keepdims=True))
    return e / e.sum(-1, keepdims=True) @ v


@pytest.mark.parametrize("block", [1, 3, 128])
@few
@given(
    new=news("float64"),
    batch=sizes,
    keys=sizes,
    group=sizes,
    time=st.integers(1, 8),
    earlier=st.integers(0, 3),
    dim=sizes,
    window=windows,
)
def test_blockwise_attention(block, new, batch, keys, group, time, earlier, dim, window):
    q, k, v = new(batch, keys * group, time, dim), *(new(batch, keys, time + earlier, dim) for _ in range(2))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(blockwise, "BLOCK", block)
        o, _ = blockwise.blockwise_attention(q, k, v, window)
        np.testing.assert_allclose(o, plain_attention(q, k, v, window), rtol=1e-10, atol=1e-12)
        gradcheck(
            lambda q, k, v: blockwise.blockwise_attention(q, k, v, window),
            blockwise.blockwise_attention_backward,
            [q, k, v],
            new=new,
        )


def test_a_window_of_0_sees_itself_alone():
    q, k, v = (New()(1, 2, 5, 3) for _ in range(3))
    np.testing.assert_allclose(blockwise.blockwise_attention(q, k, v, 0)[0], v)


@pytest.mark.parametrize("chunk", [1, 20, 1 << 20])
@few
@given(new=news("float64"), rows=sizes, width=sizes, vocab=sizes, extra=st.integers(0, 3), data=st.data())
def test_head_loss(chunk, new, rows, width, vocab, extra, data):
    x, w = new(rows, width), new(vocab + extra, width)
    targets = np.array(data.draw(st.lists(st.integers(-1, vocab - 1), min_size=rows, max_size=rows)))
    targets[0] = max(targets[0], 0)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(head, "CHUNK_LOGITS", chunk)
        loss, _ = head.head_loss(x, w, targets, vocab, 2.0)
        kept = targets >= 0
        capped = 2.0 * np.tanh(x @ w[:vocab].T / 2.0)
        expected, _ = ops.softmax_cross_entropy(capped[kept], targets[kept])
        np.testing.assert_allclose(loss, expected, rtol=1e-12)
        each = head.token_losses(x, w, targets, vocab, 2.0)
        np.testing.assert_allclose(each.sum() / kept.sum(), loss, rtol=1e-12)
        assert not each[~kept].any()
        gradcheck(lambda x, w: head.head_loss(x, w, targets, vocab, 2.0), head.head_loss_backward, [x, w], new=new)


def test_head_loss_of_ignored_targets_alone_is_nan():
    loss, _ = head.head_loss(np.ones((2, 3)), np.ones((4, 3)), np.array([-1, -1]), 4, 15.0, with_gradient=False)
    assert np.isnan(loss)
