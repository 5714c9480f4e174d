"""The operations of the nanochat GPT: gradients, edges, and that cutting into blocks or chunks changes nothing."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nanochat_np import ops
from nanochat_np.ops import blockwise_attention as blockwise
from nanochat_np.ops import head
from nanochat_np.ops.embedding import (
    add_embedding_backward,
    embedding_norm,
    gated_embedding,
    gated_embedding_backward,
)
from nanochat_np.ops.gate import sigmoid, sigmoid_gate, sigmoid_gate_backward
from nanochat_np.ops.norm import (
    add_norm,
    add_norm_backward,
    mix_norm,
    mix_norm_again,
    mix_norm_backward,
    rms_norm,
    rms_norm_backward,
)
from nanochat_np.ops.residual import add_to
from nanochat_np.ops.rotary import rotary, rotary_backward, rotary_norm, rotary_norm_backward, rotary_tables
from nanochat_np.ops.smear import smear, smear_backward
from tests.gradcheck import gradcheck
from tests.strategies import New, few, news, sizes

leads = st.lists(sizes, max_size=2).map(tuple)
windows = st.one_of(st.none(), st.integers(0, 6))


@few
@given(new=news("float64"), lead=leads, time=sizes, half=sizes)
def test_rotary(new, lead, time, half):
    tables = [table.astype(np.float64) for table in rotary_tables(time, 2 * half, base=100.0)]
    gradcheck(rotary, rotary_backward, [new(*lead, time, 2 * half)], tables, new=new)


def test_rotary_turns_by_minus_theta_and_keeps_lengths_and_relative_angles():
    cos, sin = rotary_tables(9, 2, base=100.0)
    y, _ = rotary(np.tile(np.array([1.0, 0.0]), (9, 1)), cos, sin)
    np.testing.assert_allclose(y, np.stack([np.cos(np.arange(9)), -np.sin(np.arange(9))], 1), atol=1e-6)
    np.testing.assert_allclose(np.linalg.norm(y, axis=1), 1, rtol=1e-6)
    np.testing.assert_allclose(y[2] @ y[5], y[4] @ y[7], rtol=1e-5)


def stacked(y, n):
    """Two results as one, so that one dy weighs both."""
    return np.stack([y, n])


@few
@given(new=news("float64"), lead=leads, width=sizes)
def test_add_norm(new, lead, width):
    def forward(x, y):
        z, n, cache = add_norm(x, y, 1e-3)
        return stacked(z, n), cache

    def backward(d, cache):
        dx = add_norm_backward(*d, cache)
        return dx, dx

    gradcheck(forward, backward, [new(*lead, width), new(*lead, width)], new=new)


@few
@given(new=news("float64"), lead=leads, width=sizes)
def test_mix_norm(new, lead, width):
    """x0 is read by something else too, whose gradient the backward adds to: here a sum of its own."""

    def forward(x, x0, a, b):
        m, n, cache = mix_norm(x, x0, a[0], b[0], 1e-3)
        np.testing.assert_allclose(m, a[0] * x + b[0] * x0)
        np.testing.assert_allclose(n, rms_norm(m, 1e-3)[0])
        np.testing.assert_allclose(mix_norm_again(cache), n)
        return np.stack([m, n, x0]), cache

    def backward(d, cache):
        dx, dx0, da, db = mix_norm_backward(*d, cache)
        return dx, dx0, np.array([da]), np.array([db])

    gradcheck(forward, backward, [new(*lead, width), new(*lead, width), new(1), new(1)], new=new)


@few
@given(new=news("float64"), batch=sizes, time=sizes, heads=sizes, half=sizes)
def test_rotary_norm(new, batch, time, heads, half):
    tables = [table.astype(np.float64) for table in rotary_tables(time, 2 * half, base=100.0)]
    x = new(batch, time, heads, 2 * half)
    y, _ = rotary_norm(x, *tables, 1.2, 1e-3)
    np.testing.assert_allclose(y, 1.2 * rms_norm(rotary(x.swapaxes(1, 2), *tables)[0].swapaxes(1, 2), 1e-3)[0])
    gradcheck(lambda x: rotary_norm(x, *tables, 1.2, 1e-3), rotary_norm_backward, [x], new=new)


@few
@given(new=news("float64"), lead=leads, vocab=sizes, width=sizes)
def test_embedding_norm(new, lead, vocab, width):
    idx = new.integers(vocab, *lead)

    def backward(dy, cache):
        dw = np.ones((vocab, width))
        add_embedding_backward(dw, rms_norm_backward(dy, cache), idx)
        return dw - 1

    gradcheck(lambda w: embedding_norm(w, idx, 1e-3), backward, [new(vocab, width)], new=new)


@few
@given(new=news("float64"), batch=sizes, time=sizes, vocab=sizes, heads=sizes, width=sizes)
def test_gated_embedding(new, batch, time, vocab, heads, width):
    idx = new.integers(vocab, batch, time)
    operands = [new(batch, time, heads, width), new(batch, time, heads), new(vocab, heads * width)]

    def backward(dy, cache):
        dw = np.ones((vocab, heads * width))
        dg = gated_embedding_backward(dw, dy, cache)
        return dy.copy(), dg, dw - 1

    gradcheck(lambda x, g, w: gated_embedding(x, g, w, idx), backward, operands, new=new)


@pytest.mark.parametrize("size", [3, 1 << 17])
@pytest.mark.parametrize("scale", [1.0, -0.25])
def test_add_to(size, scale):
    total, x = np.ones((2, size)), np.arange(2.0 * size).reshape(2, size)
    add_to(total, x, scale)
    np.testing.assert_allclose(total, 1 + scale * x)
    add_to(total.T, x.T, scale)
    np.testing.assert_allclose(total, 1 + 2 * scale * x)


@few
@given(new=news("float64"), lead=leads, width=sizes, used=sizes, out=sizes)
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
        loss = head.head_loss(x, w, targets, vocab, 2.0)
        kept = targets >= 0
        capped = 2.0 * np.tanh(x @ w[:vocab].T / 2.0)
        expected, _ = ops.softmax_cross_entropy(capped[kept], targets[kept])
        np.testing.assert_allclose(loss, expected, rtol=1e-12, atol=1e-14)
        each = head.token_losses(x, w, targets, vocab, 2.0)
        np.testing.assert_allclose(each.sum() / kept.sum(), loss, rtol=1e-12, atol=1e-14)
        assert not each[~kept].any()

        def forward(x, w):
            return head.head_loss(x, w, targets, vocab, 2.0), (x, w)

        def backward(dloss, cache):
            dw = np.ones((vocab + extra, width))
            found, dx = head.head_loss_and_gradient(dw, dloss, *cache, targets, vocab, 2.0)
            each = head.token_losses(*cache, targets, vocab, 2.0)
            expected = each.sum() / kept.sum() if np.ndim(dloss) == 0 else (dloss * each).sum()
            np.testing.assert_allclose(found, expected, rtol=1e-12, atol=1e-14)
            return dx, dw - 1

        gradcheck(forward, backward, [x, w], new=new)

        shares = new(rows)

        def weighted(x, w):
            return (shares * head.token_losses(x, w, targets, vocab, 2.0)).sum(), (x, w)

        gradcheck(weighted, lambda dloss, cache: backward(dloss * shares, cache), [x, w], new=new)


def test_head_loss_of_ignored_targets_alone_is_nan_and_has_no_gradient():
    x, w, targets, dw = np.ones((2, 3)), np.ones((4, 3)), np.array([-1, -1]), np.zeros((4, 3))
    loss, dx = head.head_loss_and_gradient(dw, 1.0, x, w, targets, 4, 15.0)
    assert np.isnan(loss)
    assert np.isnan(head.head_loss(x, w, targets, 4, 15.0))
    assert not dx.any()
    assert not dw.any()


@pytest.mark.parametrize(("cap", "size"), [(15.0, 1e3), (15.0, 1e-3), (40.0, -1e3), (200.0, -1e3)])
def test_capped_cross_entropy_at_the_ends(cap, size):
    """Where all logits are at a cap, or all are tiny; a large cap is left to the reference."""
    z = (size + np.linspace(-0.01, 0.01, 50)[None]).astype(np.float32)
    exact = z.astype(np.float64)
    nll = head.capped_cross_entropy(z, np.array([7]), cap, np.ones(1, np.float32))
    expected = head.capped_cross_entropy.__wrapped__(exact, np.array([7]), cap, np.ones(1))
    np.testing.assert_allclose(nll, expected, rtol=1e-5)
    np.testing.assert_allclose(z, exact, atol=1e-6)
