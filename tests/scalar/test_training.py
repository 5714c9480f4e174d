import numpy as np
import pytest

from nanochat_np.optim.optimizer import Optimizer
from nanochat_np.scalar.ops import ScalarOps
from nanochat_np.scalar.tape import Tape
from nanochat_np.scalar.training import ScalarProgram

VOCAB, WIDTH, TIME = 4, 3, 2
N_PARAMS = 2 * VOCAB * WIDTH


def record():
    """A small bigram model with a norm, over windows of TIME + 1 tokens."""
    tape = Tape()
    ops = ScalarOps(tape)
    w, head = tape.leaf(np.zeros(N_PARAMS)).reshape(2, VOCAB, WIDTH)
    h, _ = ops.embedding(w, np.arange(TIME))
    h, _ = ops.rms_norm(h)
    z, _ = ops.linear(h, head)
    loss, _ = ops.softmax_cross_entropy(z, np.arange(1, TIME + 1))
    return ScalarProgram(tape, N_PARAMS, loss)


def reference_loss(params, window):
    w, head = params.reshape(2, VOCAB, WIDTH)
    h = w[window[:-1]]
    z = h / np.sqrt((h**2).mean(-1, keepdims=True) + 1e-5) @ head.T
    return (np.log(np.exp(z).sum(-1)) - z[np.arange(TIME), window[1:]]).mean()


def problem(n_steps=5, batch=3):
    rng = np.random.default_rng(7)
    params = rng.normal(size=N_PARAMS)
    windows = rng.integers(VOCAB, size=(n_steps, batch, TIME + 1))
    return params, windows, np.linspace(0.1, 0.02, n_steps)


OPTIMIZERS = {
    "sgd": lambda p: Optimizer.sgd(p),
    "momentum": lambda p: Optimizer.sgd(p, 0.9, 1.8),
    "adamw": lambda p: Optimizer.adamw(p, 0.9, 0.99, 0.1),
    "adamw, clipped": lambda p: Optimizer.adamw(p, 0.8, 0.95, 0.01, 1.5),
}


def steps_in_python(program, p, windows, lrs, o):
    """The same training, spelled out."""
    losses, norms = [], []
    velocity, m, v = (np.zeros_like(p) for _ in range(3))
    for t, (batch, lr) in enumerate(zip(windows, lrs, strict=True), start=1):
        results = [program.loss_and_gradient(p, window) for window in batch]
        losses.append(np.mean([loss for loss, _ in results]))
        g = np.mean([gradient for _, gradient in results], axis=0)
        norms.append(np.linalg.norm(g))
        if o.grad_clip and norms[-1] > o.grad_clip:
            g = g * o.grad_clip / norms[-1]
        if o.is_adamw:
            m = o.beta1 * m + (1 - o.beta1) * g
            v = o.beta2 * v + (1 - o.beta2) * g**2
            adaptive = m / (1 - o.beta1**t) / (np.sqrt(v / (1 - o.beta2**t)) + o.eps)
            p = p - lr * (adaptive + o.weight_decay * p)
        else:
            velocity = o.momentum * velocity + g
            p = p - lr * velocity
    return p, losses, norms


def test_loss_and_gradient():
    program, (params, windows, _) = record(), problem()
    direction = np.random.default_rng(8).normal(size=N_PARAMS)
    for window in windows[0]:
        loss, gradient = program.loss_and_gradient(params, window)
        assert loss == pytest.approx(reference_loss(params, window), rel=1e-12)
        ends = [reference_loss(params + h * direction, window) for h in (1e-5, -1e-5)]
        assert gradient @ direction == pytest.approx((ends[0] - ends[1]) / 2e-5, rel=1e-6)


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_steps_against_python(name):
    program, (params, windows, lrs) = record(), problem()
    optimizer = OPTIMIZERS[name](params)
    expected, expected_losses, expected_norms = steps_in_python(program, params, windows, lrs, optimizer)
    losses, norms = program.steps(params, windows, lrs, optimizer)
    np.testing.assert_allclose(params, expected, rtol=1e-11, atol=1e-13)
    np.testing.assert_allclose(losses, expected_losses, rtol=1e-11)
    np.testing.assert_allclose(norms, expected_norms, rtol=1e-11)
    if optimizer.grad_clip:
        assert norms.min() < optimizer.grad_clip < norms.max()  # so that steps with and without clipping were seen


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_steps_can_be_taken_in_parts(name):
    whole, windows, lrs = problem()
    parts = whole.copy()
    program, whole_optimizer, optimizer = record(), OPTIMIZERS[name](whole), OPTIMIZERS[name](whole)
    losses, norms = program.steps(whole, windows, lrs, whole_optimizer)
    first = program.steps(parts, windows[:2], lrs[:2], optimizer)
    nothing = program.steps(parts, windows[:0], lrs[:0], optimizer, 3)
    second = record().steps(parts, windows[2:], lrs[2:], optimizer, 3)
    np.testing.assert_array_equal(parts, whole)
    np.testing.assert_array_equal(np.concatenate([first[0], nothing[0], second[0]]), losses)
    np.testing.assert_array_equal(np.concatenate([first[1], nothing[1], second[1]]), norms)


def test_the_program_keeps_what_was_recorded():
    tape = Tape()
    x = tape.leaf([2.0, 3.0])
    y = tape.mul(x[0], x[1])
    program = ScalarProgram(tape, 2, y)
    z = tape.mul(y, y)  # grows the last run of the tape
    assert program.graph.ends.tolist() == [2, 3]
    tape.assign(x, [0.0, 0.0])
    loss, gradient = program.loss_and_gradient([2.0, 3.0], np.zeros(0, int))
    assert (loss, gradient.tolist()) == (6.0, [3.0, 2.0])
    assert tape.values(z) == 0.0


def test_what_is_not_a_program():
    tape = Tape()
    x = tape.leaf([1.0, 2.0])
    y = tape.exp(x)
    with pytest.raises(ValueError, match="first 3 nodes"):
        ScalarProgram(tape, 3, y[0])
    with pytest.raises(ValueError, match="nodes of this tape"):
        ScalarProgram(tape, 2, 4)


def test_arguments_of_steps_are_checked():
    program, (params, windows, lrs) = record(), problem()
    optimizer = OPTIMIZERS["adamw"](params)
    for p in (params[:-1], params.astype(np.float32), np.zeros(2 * N_PARAMS)[::2]):
        with pytest.raises(ValueError, match="params and optimizer state"):
            program.steps(p, windows, lrs, optimizer)
    with pytest.raises(ValueError, match="params and optimizer state"):
        program.steps(params, windows, lrs, optimizer._replace(v=np.zeros(3)))
    with pytest.raises(ValueError, match=r"lrs \(K,\)"):
        program.steps(params, windows, lrs[:-1], optimizer)
    with pytest.raises(ValueError, match=r"windows must be"):
        program.steps(params, windows[:, :0], lrs, optimizer)
    with pytest.raises(ValueError, match="3 axes"):
        program.steps(params, windows[0], lrs, optimizer)
    with pytest.raises(ValueError, match="input 4 at position 2"):
        program.steps(params, np.full_like(windows, [0, 0, VOCAB]), lrs, optimizer)
