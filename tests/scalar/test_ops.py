import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from nanochat_np.scalar.ops import ScalarOps
from nanochat_np.scalar.tape import Tape
from tests.scalar.oracle import check

settings = settings(deadline=None, max_examples=10)
sizes = st.integers(1, 4)


def recorded(name, *rest, **options):
    """``record`` for ``check`` from a method of ScalarOps; what it returns beside the nodes is None."""

    def record(tape, *nodes):
        y, cache = getattr(ScalarOps(tape), name)(*nodes, *rest, **options)
        assert cache is None
        return y

    return record


def normal(*shape):
    return np.random.default_rng(6).normal(size=shape)


def softmax(z):
    e = np.exp(z - z.max(-1, keepdims=True))
    return e / e.sum(-1, keepdims=True)


@settings
@given(sizes, sizes, st.lists(sizes, min_size=1, max_size=2), st.randoms(use_true_random=False))
def test_embedding(vocab, width, shape, random):
    slots = np.arange(np.prod(shape)).reshape(shape)
    inputs = [random.randrange(vocab) for _ in range(slots.size)]
    check(recorded("embedding", slots), lambda w: w[np.reshape(inputs, shape)], normal(vocab, width), inputs=inputs)


@settings
@given(st.lists(sizes, max_size=2), sizes, sizes)
def test_linear(shape, n_in, n_out):
    check(recorded("linear"), lambda x, w: x @ w.T, normal(*shape, n_in), normal(n_out, n_in) + 1)


@settings
@given(sizes, sizes, st.sampled_from([1e-5, 0.5]))
def test_rms_norm(rows, width, eps):
    x = normal(rows, width) + 0.5
    check(recorded("rms_norm", eps=eps), lambda x: x / np.sqrt((x**2).mean(-1, keepdims=True) + eps), x)


def test_rms_norm_has_an_eps():
    x = np.full((1, 3), 1e-3)
    check(recorded("rms_norm"), lambda x: x / np.sqrt((x**2).mean(-1, keepdims=True) + 1e-5), x)


def test_relu_squared_and_add():
    x, y = normal(3, 4), normal(4) + 1
    check(recorded("relu_squared"), lambda x: np.maximum(x, 0) ** 2, x)
    check(recorded("add"), np.add, x, y)


@settings
@given(st.integers(1, 2), st.integers(1, 3), sizes, sizes)
def test_causal_attention(batch, n_head, time, head_dim):
    def attention(q, k, v):
        scores = np.einsum("bhtd,bhsd->bhts", q, k) / np.sqrt(head_dim)
        scores[..., np.arange(time)[:, None] < np.arange(time)] = -np.inf
        return softmax(scores) @ v

    shape = (batch, n_head, time, head_dim)
    check(recorded("causal_attention"), attention, normal(*shape), 2 * normal(*shape) + 1, normal(*shape) - 1)


def test_attention_over_scores_far_apart():
    tape = Tape()
    q, k = tape.leaf([[[[0.0], [1000.0]]]]), tape.leaf([[[[-1.0], [1.0]]]])
    v = tape.leaf([[[[3.0], [5.0]]]])
    y, _ = ScalarOps(tape).causal_attention(q, k, v)
    assert tape.values(y).ravel().tolist() == [3.0, 5.0]


def test_attention_records_no_future():
    tape = Tape()
    q, k, v = (tape.leaf(normal(1, 1, 3, 2)) for _ in range(3))
    y, _ = ScalarOps(tape).causal_attention(q, k, v)
    tape.backward(int(y[0, 0, 1, 0]))
    assert np.all(tape.grads(v)[0, 0, 2] == 0)
    assert np.all(tape.grads(v)[0, 0, :2, 0] > 0)


@settings
@given(st.lists(sizes, min_size=1, max_size=2), sizes, st.randoms(use_true_random=False))
def test_softmax_cross_entropy(shape, vocab, random):
    slots = np.arange(np.prod(shape)).reshape(shape)
    targets = [random.randrange(vocab) for _ in range(slots.size)]

    def loss(z):
        rows = np.log(softmax(z)).reshape(-1, vocab)
        return -rows[np.arange(len(rows)), targets].mean()

    check(recorded("softmax_cross_entropy", slots), loss, 2 * normal(*shape, vocab), inputs=targets)


def test_cross_entropy_of_logits_far_apart():
    tape = Tape()
    logits = tape.leaf([[2000.0, 0.0, -2000.0]])
    loss, _ = ScalarOps(tape).softmax_cross_entropy(logits, np.array([0]))
    assert loss.shape == ()
    tape.replay([2])
    tape.backward(loss)
    assert tape.values(loss) == 4000.0
    np.testing.assert_allclose(tape.grads(logits), [[1.0, 0.0, -1.0]], atol=1e-12)


def test_heads():
    ops, x = ScalarOps(Tape()), np.arange(24).reshape(2, 3, 4)
    y = ops.split_heads(x, 2)
    assert y.shape == (2, 2, 3, 2)
    np.testing.assert_array_equal(y[1, 1], x[1, :, 2:])
    np.testing.assert_array_equal(ops.merge_heads(y), x)


def test_a_matrix_may_be_used_twice():
    """A tied head: the same nodes as embedding and as output."""

    def record(tape, w):
        ops = ScalarOps(tape)
        h, _ = ops.embedding(w, np.array([0, 1]))
        return ops.linear(h, w)[0]

    check(record, lambda w: w[[2, 0]] @ w.T, normal(3, 3), inputs=[2, 0])
