"""A step with targets that are not to be predicted: whatever the batches, it is that of the mean over all targets."""

import numpy as np
import pytest

from nanochat_np.backend import select_device
from nanochat_np.nn import gpt
from nanochat_np.nn.gpt_config import GPTConfig, initial
from nanochat_np.ops.head import head_loss_and_gradient
from nanochat_np.optim.groups import Rates
from nanochat_np.optim.lora import Adapter, matrices
from nanochat_np.train.gpt_trainer import GPTTrainer

CONFIG = GPTConfig(sequence_len=8, vocab_size=50, n_layer=2, n_head=2, n_kv_head=2, n_embd=32, window_pattern="L")
RNG = np.random.default_rng(3)
INPUTS, TARGETS = RNG.integers(0, 50, (2, 6, 8), dtype=np.int32)
TARGETS[0] = -1
TARGETS[1, 3:] = -1
TARGETS[2, :7] = -1
TARGETS[4:, :2] = -1


def trainer(**options):
    weights = {name: values.astype(np.float64) for name, values in initial(CONFIG, np.random.default_rng(0)).items()}
    for name, values in weights.items():
        if name.endswith("c_proj.weight"):
            values[...] = 0.1 * np.random.default_rng(1).standard_normal(values.shape)
    settings = {"precision": "float64", "batch_size": 6, "tokens_per_step": INPUTS.size} | options
    return GPTTrainer(CONFIG, weights, Rates(), select_device("cpu"), **settings)


def step(*parts, inputs=INPUTS, targets=TARGETS):
    """Loss, norm and new weights of a step whose batches are these rows."""
    one = trainer()
    loss, norm = one.step([(inputs[rows], targets[rows]) for rows in parts], 1.0, 0.9, 1.0)
    return loss, norm, one.weights


@pytest.mark.parametrize("size", [1, 2, 3])
def test_batches_weigh_as_much_as_they_have_targets(size):
    loss, norm, weights = step(slice(None))
    parts = [slice(start, start + size) for start in range(0, 6, size)]
    found = step(*parts)
    assert found[:2] == pytest.approx((loss, norm), rel=1e-10)
    for name, values in weights.items():
        np.testing.assert_allclose(found[2][name], values, rtol=1e-8, atol=1e-10)
    losses = trainer().losses(INPUTS, TARGETS)
    assert loss == pytest.approx(losses.sum() / (TARGETS >= 0).sum(), rel=1e-12)


def test_a_batch_without_targets_is_as_if_it_were_not_there():
    with_it, without = step(slice(0, 1), slice(1, 3)), step(slice(1, 3))
    assert with_it[:2] == without[:2]
    assert all((with_it[2][name] == without[2][name]).all() for name in without[2])
    with pytest.raises(ValueError, match="no position"):
        step(slice(0, 1))


def test_what_is_not_a_target_has_no_gradient_at_all():
    """Nor does what follows the last target of a row: padding may be anything."""
    x, _ = gpt.hidden(trainer().weights, CONFIG, INPUTS)
    w = trainer().weights["lm_head.weight"]
    dw = np.zeros_like(w)
    _, dx = head_loss_and_gradient(dw, 1.0, x.reshape(-1, 32), w, TARGETS.reshape(-1), 50, 15.0)
    ignored = TARGETS.reshape(-1) < 0
    assert not dx[ignored].any()
    assert dx[~ignored].any(1).all()
    other = INPUTS.copy()
    other[1, 3:] = 7
    one, two = step(slice(1, 2)), step(slice(1, 2), inputs=other)
    assert one[:2] == two[:2]
    layers = [name for name in one[2] if name.startswith("transformer.h.") or name == "lm_head.weight"]
    assert all((one[2][name] == two[2][name]).all() for name in layers)


NAMES = matrices(trainer().weights, ("attn.c_q", "mlp"))
ADAPTER = Adapter(names=NAMES, rank=2, alpha=1.0, lr=0.01, seed=0)


def adapted(size, grad_clip=0.0, steps=3):
    """A trainer of a change of low rank after steps in batches of so many rows, and the norms of their gradients."""
    one = trainer(adapter=ADAPTER, grad_clip=grad_clip)
    parts = [slice(begin, begin + size) for begin in range(0, 6, size)]
    norms = [one.step([(INPUTS[rows], TARGETS[rows]) for rows in parts], 1.0, 0.9, 1.0)[1] for _ in range(steps)]
    return one, norms


def test_a_change_of_low_rank_is_in_the_weights_and_all_others_are_frozen():
    start, (one, _) = trainer().weights, adapted(6)
    assert all((one.weights[name] == start[name]).all() for name in start.keys() - set(NAMES))
    state = one.optimizer.state
    merged = start | {name: start[name] + 0.5 * state[f"b.{name}"] @ state[f"a.{name}"] for name in NAMES}
    expected = gpt.losses(merged, CONFIG, INPUTS, TARGETS)
    np.testing.assert_allclose(one.losses(INPUTS, TARGETS), expected, rtol=1e-12)
    assert expected.sum() < trainer().losses(INPUTS, TARGETS).sum()


def test_the_gradient_of_its_factors_is_summed_and_clipped():
    (one, norms), (other, of_other) = adapted(6), adapted(2)
    assert norms == pytest.approx(of_other, rel=1e-8)
    assert norms[0] < step(slice(None))[1]
    for name in NAMES:
        np.testing.assert_allclose(other.weights[name], one.weights[name], rtol=1e-8, atol=1e-10)
    clipped, (norm,) = adapted(6, 1e-5, steps=1)
    moments = [array for name, array in clipped.optimizer.state.items() if name.startswith("m.")]
    assert norm == norms[0] > 1e-5
    assert np.sqrt(sum((array**2).sum() for array in moments)) == pytest.approx(0.1 * 1e-5)
