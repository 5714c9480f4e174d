"""A trainer holds parameters and optimizer state and takes steps; the loop around it does not know which it has."""

import math
from typing import Protocol

import numpy as np

from nanochat_np import kernels
from nanochat_np.backend import environment
from nanochat_np.backend.arrays import Array, array_module, to_numpy
from nanochat_np.backend.device import Device
from nanochat_np.backend.random import stream
from nanochat_np.config import Learning
from nanochat_np.errors import CheckpointError, ConfigError
from nanochat_np.nn.model import ModelConfig, architecture, flatten, parameter_count, views
from nanochat_np.optim.optimizer import Optimizer
from nanochat_np.train.checkpoint import Checkpoint


class Trainer(Protocol):
    """Parameters, state, and the way to advance them."""

    config: ModelConfig
    p: Array  # (P,) all parameters
    optimizer: Optimizer

    def advance(self, first_step: int, starts: np.ndarray, lrs: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Take K steps, the first of them number ``first_step`` (counted from 0).

        starts (K, B): first token of each window; lrs (K,).  Returns (losses, grad_norms), (K,) float64: the mean loss
        of each batch before its update, in nats a token, and the global gradient norm before clipping.
        """

    def warm_up(self, batch_size: int) -> None:
        """Compile what will run for batches of this size, without changing anything."""


def initial_parameters(config: ModelConfig, seed: int) -> np.ndarray:
    """The untrained model of a seed, (P,) float64: the same for every mode, precision and device."""
    model = architecture(config.kind)
    return flatten(model.initial(config, stream(seed, "init")), model.shapes(config))


def make_optimizer(settings: Learning, p: Array) -> Optimizer:
    """The optimizer that the flags describe, for parameters ``p``."""
    if settings.optimizer == "sgd":
        return Optimizer.sgd(p, settings.momentum, settings.grad_clip)
    return Optimizer.adamw(p, settings.beta1, settings.beta2, settings.weight_decay, settings.grad_clip)


def make_trainer(settings: Learning, config: ModelConfig, seed: int, tokens: np.ndarray, device: Device) -> Trainer:
    """The trainer for ``--mode``, with untrained parameters.  ``tokens`` (n,) integer is the training text."""
    p = initial_parameters(config, seed)
    if settings.mode == "scalar":
        if not kernels.can_compile():
            raise ConfigError("--mode scalar needs Numba, which does not import: pip install numba")
        from nanochat_np.train.scalar import ScalarTrainer

        return ScalarTrainer(config, p, make_optimizer(settings, p), tokens)
    from nanochat_np.train.tensor import TensorTrainer

    largest = max(math.prod(shape) for shape in architecture(config.kind).shapes(config).values())
    environment.use_blas_threads_for(2.0 * settings.batch_size * config.block_size * largest)
    with device.active():
        flat = device.array(p, settings.dtype)
        return TensorTrainer(config, flat, make_optimizer(settings, flat), tokens, device)


def weights(trainer: Trainer) -> dict[str, np.ndarray]:
    """The parameters by name, as NumPy arrays."""
    shapes = architecture(trainer.config.kind).shapes(trainer.config)
    return views(to_numpy(trainer.p), shapes)


def state_of(trainer: Trainer) -> dict[str, np.ndarray]:
    """The optimizer's moments, as NumPy arrays."""
    return {"m": to_numpy(trainer.optimizer.m), "v": to_numpy(trainer.optimizer.v)}


def load_state(trainer: Trainer, found: Checkpoint) -> None:
    """Put a checkpoint's parameters and moments, checked against the model already, in the place of the trainer's."""
    shapes = architecture(trainer.config.kind).shapes(trainer.config)
    values = {"p": flatten(found.weights, shapes), "m": found.state.get("m"), "v": found.state.get("v")}
    for name, target in (("p", trainer.p), ("m", trainer.optimizer.m), ("v", trainer.optimizer.v)):
        value = values[name]
        if value is None or value.shape != target.shape or value.dtype != target.dtype:
            raise CheckpointError(f"the checkpoint's {name} does not fit {target.size} parameters of {target.dtype}")
        target[...] = array_module(target).asarray(value)


def n_parameters(config: ModelConfig) -> int:
    """Number of trainable scalars of a model."""
    return parameter_count(architecture(config.kind).shapes(config))
