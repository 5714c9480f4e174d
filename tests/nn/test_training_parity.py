"""Two programs that share no arithmetic, the array operations and the scalar tape, must train the same model."""

import functools

import numpy as np
import pytest

from nanochat_np.backend import Device
from nanochat_np.config import TrainConfig
from nanochat_np.data.batches import window_starts
from nanochat_np.optim.optimizer import Optimizer
from nanochat_np.optim.schedule import lr_multipliers
from nanochat_np.train.run import prepare
from nanochat_np.train.scalar import ScalarTrainer
from nanochat_np.train.tensor import TensorTrainer
from tests.nn.networks import bigram, mini_gpt, parameters, variants

TOKENS = np.random.default_rng(3).integers(0, 5, 60)
STEPS = 6
OPTIMIZERS = {
    "sgd": lambda p: Optimizer.sgd(p),
    "clipped sgd": lambda p: Optimizer.sgd(p, grad_clip=0.3),
    "momentum": lambda p: Optimizer.sgd(p, momentum=0.9, grad_clip=0.3),
    "adamw": lambda p: Optimizer.adamw(p, 0.9, 0.99, 0.1),
    "clipped adamw": lambda p: Optimizer.adamw(p, 0.9, 0.99, 0.1, grad_clip=0.3),
}


@functools.cache  # to record a graph takes longer than to train on it
def scalar_trainer(config):
    p = parameters(config)
    return ScalarTrainer(config, p, Optimizer.sgd(p), TOKENS)


@variants
@pytest.mark.parametrize("network", [bigram, mini_gpt])
@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_every_step_is_the_same(network, tied, normed, optimizer):
    config = network(tied, normed)
    for batch in (1, 3):
        starts = np.random.default_rng(batch).integers(0, len(TOKENS) - config.block_size, (STEPS, batch))
        lrs = np.linspace(0.3, 0.02, STEPS) * (0.1 if "adamw" in optimizer else 1.0)

        p = parameters(config)
        tensor = TensorTrainer(config, p, OPTIMIZERS[optimizer](p), TOKENS, Device())
        scalar = scalar_trainer(config)
        scalar.p = parameters(config)
        scalar.optimizer = OPTIMIZERS[optimizer](scalar.p)

        expected, expected_norms = scalar.advance(0, starts, lrs)
        parts = [tensor.advance(first, starts[first : first + 4], lrs[first : first + 4]) for first in (0, 4)]
        losses, norms = np.concatenate(parts, axis=1)
        np.testing.assert_allclose(losses, expected, rtol=1e-9)
        np.testing.assert_allclose(norms, expected_norms, rtol=1e-9)
        np.testing.assert_allclose(tensor.p, scalar.p, rtol=1e-9, atol=1e-12)
        assert np.abs(tensor.p - parameters(config)).max() > 1e-3


@pytest.mark.slow
@variants
@pytest.mark.parametrize("kind", ["bigram", "mini-gpt"])
@pytest.mark.parametrize("optimizer", ["sgd", "adamw"])
@pytest.mark.parametrize("batch", [1, 8])
def test_hundreds_of_steps_at_the_default_rates_are_the_same(kind, tied, normed, optimizer, batch):
    steps, losses = 400, []
    for mode in ("scalar", "tensor"):
        config = TrainConfig(
            mode=mode,
            model_kind=kind,
            optimizer=optimizer,
            batch_size=batch,
            tie_lm_head=tied,
            input_rmsnorm=normed,
            data="stories:20000",
            steps=steps,
            dtype="float64",
            device="cpu",
        ).resolved()
        trainer = (prepared := prepare(config)).trainer
        starts = window_starts(1, 0, steps, batch, len(prepared.dataset.train), trainer.config.block_size)
        losses.append(trainer.advance(0, starts, config.lr * lr_multipliers(0, steps, steps, "linear"))[0])
    np.testing.assert_allclose(losses[0], losses[1], rtol=0, atol=1e-9)
