"""A step by targets that each have a weight of their own: the gradient that a policy gradient is made of."""

import numpy as np
import pytest

from nanochat_np.backend import select_device
from nanochat_np.nn.gpt_config import GPTConfig, initial
from nanochat_np.nn.gpt_gradient import is_embedding
from nanochat_np.optim.groups import Rates
from nanochat_np.train.gpt_trainer import GPTTrainer

CONFIG = GPTConfig(sequence_len=6, vocab_size=11, n_layer=2, n_head=2, n_kv_head=1, n_embd=24, window_pattern="L")
RNG = np.random.default_rng(3)
INPUTS, TARGETS = RNG.integers(0, 11, (2, 4, 6), dtype=np.int32)
WEIGHTS = RNG.standard_normal((4, 6))
TARGETS[0, :3] = TARGETS[2, 4:] = -1
HOW = (1.0, 0.9, 0.0)


def trainer():
    rng = np.random.default_rng(0)
    weights = {name: v + 0.2 * rng.standard_normal(v.shape) for name, v in initial(CONFIG, rng).items()}
    device = select_device("cpu")
    return GPTTrainer(CONFIG, weights, Rates(), device, precision="float64", batch_size=4, tokens_per_step=INPUTS.size)


def gradient(*batches, of=None):
    """Loss and gradient of a step, the latter with all rows of the embeddings."""
    one, found = trainer(), {}

    def take(grads, *how, tokens, **scale):
        for name, values in grads.items():
            found[name] = np.zeros_like(one.weights[name])
            found[name][tokens if is_embedding(name) else ...] = values

    one.optimizer.step = take
    loss, norm = (of or one.step_weighted)(list(batches), *HOW) if of is None else of(one)(list(batches), *HOW)
    assert norm == pytest.approx(np.sqrt(sum((g * g).sum() for g in found.values())), rel=1e-12)
    return loss, found


def loss_at(one):
    return float((np.where(TARGETS >= 0, WEIGHTS, 0) * one.losses(INPUTS, TARGETS)).sum())


def test_it_is_the_slope_of_the_weighted_loss():
    loss, found = gradient((INPUTS, TARGETS, WEIGHTS))
    one = trainer()
    assert loss == pytest.approx(loss_at(one), rel=1e-12)
    directions = {name: np.random.default_rng(7).standard_normal(v.shape) for name, v in one.weights.items()}
    for name, direction in directions.items():
        values, losses = one.weights[name].copy(), []
        for h in (1e-5, -1e-5):
            one.weights[name][...] = values + h * direction
            losses.append(loss_at(one))
        one.weights[name][...] = values
        slope = (losses[0] - losses[1]) / 2e-5
        assert (found[name] * direction).sum() == pytest.approx(slope, rel=1e-5, abs=1e-8), name


def test_it_is_the_sum_over_tokens_and_over_batches():
    _, whole = gradient((INPUTS, TARGETS, WEIGHTS))
    places = [place for place in np.ndindex(*TARGETS.shape) if TARGETS[place] >= 0]
    total = {name: np.zeros_like(values) for name, values in whole.items()}
    for place in places:
        alone = np.zeros_like(WEIGHTS)
        alone[place] = 1
        for name, values in gradient((INPUTS, TARGETS, alone))[1].items():
            total[name] += WEIGHTS[place] * values
    _, parts = gradient(*((INPUTS[rows], TARGETS[rows], WEIGHTS[rows]) for rows in (slice(0, 1), slice(1, 4))))
    for name, values in whole.items():
        np.testing.assert_allclose(total[name], values, rtol=1e-9, atol=1e-12)
        np.testing.assert_allclose(parts[name], values, rtol=1e-9, atol=1e-12)


def test_what_was_not_chosen_has_no_gradient():
    """A target of -1 whatever its weight, and any target of weight 0, is as if nothing were predicted there."""
    weights = np.where(TARGETS >= 0, WEIGHTS, 0)
    weights[1] = 0
    others = TARGETS.copy()
    others[1] = (TARGETS[1] + 1) % 11
    others[3, 2] = -1
    first, second = weights.copy(), np.where(TARGETS >= 0, weights, 1e3)
    first[3, 2] = 0
    _, one = gradient((INPUTS, TARGETS, first))
    _, two = gradient((INPUTS, np.where(TARGETS >= 0, others, -1), second))
    for name, values in one.items():
        np.testing.assert_allclose(two[name], values, rtol=1e-12, atol=1e-15)


def test_equal_weights_are_the_mean():
    mean = np.full(TARGETS.shape, 1 / (TARGETS >= 0).sum())
    loss, weighted = gradient((INPUTS, TARGETS, mean))
    expected, whole = gradient((INPUTS, TARGETS), of=lambda one: one.step)
    assert loss == pytest.approx(expected, rel=1e-12)
    for name, values in whole.items():
        np.testing.assert_allclose(weighted[name], values, rtol=1e-10, atol=1e-14)


def test_batches_without_weights_are_passed_over():
    nothing = (INPUTS, TARGETS, np.zeros_like(WEIGHTS))
    one, two = gradient((INPUTS, TARGETS, WEIGHTS), nothing), gradient((INPUTS, TARGETS, WEIGHTS))
    assert one[0] == two[0]
    assert all((one[1][name] == two[1][name]).all() for name in two[1])
    with pytest.raises(ValueError, match="no position"):
        trainer().step_weighted([nothing], *HOW)
