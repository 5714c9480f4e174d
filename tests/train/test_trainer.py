"""What all trainers have in common."""

import msgspec
import numpy as np
import pytest

from nanochat_np.backend.device import Device
from nanochat_np.config import TrainConfig
from nanochat_np.errors import CheckpointError, ConfigError
from nanochat_np.nn.model import ModelConfig
from nanochat_np.train import scalar
from nanochat_np.train.checkpoint import Checkpoint
from nanochat_np.train.tensor import TensorTrainer
from nanochat_np.train.trainer import load_state, make_trainer, state_of, weights
from tests.train.test_checkpoint import made

BIGRAM = ModelConfig(
    kind="bigram", vocab_size=5, block_size=1, n_layer=0, n_head=0, n_embd=5, tie_lm_head=True, input_rmsnorm=True
)
TOKENS = np.arange(40, dtype=np.int32) % 5


def make(**flags):
    return make_trainer(TrainConfig(**flags).resolved(), BIGRAM, 1, TOKENS, Device())


def arrays(trainer):
    return [trainer.p, trainer.optimizer.m, trainer.optimizer.v]


@pytest.mark.parametrize("batch_size", [1, 3, 20])
@pytest.mark.parametrize("mode", ["tensor", "scalar"])
@pytest.mark.parametrize("optimizer", ["adamw", "sgd"])
def test_warming_up_changes_nothing(batch_size, mode, optimizer):
    trainer = make(mode=mode, optimizer=optimizer, model_kind="bigram")
    trainer.advance(0, np.zeros((2, batch_size), int), np.full(2, 0.1))
    before = [array.copy() for array in arrays(trainer)]
    trainer.warm_up(batch_size)
    for array, values in zip(arrays(trainer), before, strict=True):
        np.testing.assert_array_equal(array, values)


def test_warming_up_takes_the_very_path_of_training(monkeypatch):
    """A batch of one pair would go through other compiled code than the batches that follow."""
    trainer = make(model_kind="bigram", optimizer="sgd")
    shapes = []
    monkeypatch.setattr(trainer, "_loss_and_gradient", lambda window: shapes.append(window.shape) or 0.0)
    trainer.warm_up(7)
    trainer.advance(0, np.zeros((1, 7), int), np.ones(1))
    assert shapes == [(7, 2), (7, 2)]


def test_a_run_warms_up_for_its_batches(lab, monkeypatch):
    sizes = []
    monkeypatch.setattr(TensorTrainer, "warm_up", lambda self, batch_size: sizes.append(batch_size))
    lab.trained("--steps=1", "--batch-size=7", "--out=run")
    assert sizes == [7]


def test_state_goes_into_another_trainer():
    one, two = make(model_kind="bigram"), make(model_kind="bigram", seed=2)
    one.advance(0, np.arange(6).reshape(2, 3), np.full(2, 0.1))
    load_state(two, Checkpoint(meta=made(1).meta, weights=weights(one), state=state_of(one)))
    for array, other in zip(arrays(one), arrays(two), strict=True):
        np.testing.assert_array_equal(array, other)
        assert array is not other


@pytest.mark.parametrize("name", ["p", "m", "v"])
def test_state_that_does_not_fit(name):
    trainer = make(model_kind="bigram")
    found, state = weights(trainer), state_of(trainer)
    if name == "p":
        found = {key: array.astype(np.float64) for key, array in found.items()}
    else:
        state[name] = state[name][:-1]
    with pytest.raises(CheckpointError, match=f"checkpoint's {name} does not fit 25 parameters of float32"):
        load_state(trainer, Checkpoint(meta=made(1).meta, weights=found, state=state))


def test_a_scalar_model_that_would_not_fit():
    config = msgspec.structs.replace(BIGRAM, vocab_size=6000, n_embd=6000)
    with pytest.raises(ConfigError, match=r"over 50,000,000 nodes \(36,000,000 parameters"):
        scalar.record(config)
