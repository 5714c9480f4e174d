"""What every architecture provides, and the flat storage of its parameters."""

import importlib
import math
from collections.abc import Mapping
from typing import Any, Protocol

import msgspec
import numpy as np

from nanochat_np.backend.arrays import Array

Shapes = dict[str, tuple[int, ...]]
Weights = dict[str, Array]


class ModelConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Everything that decides the shapes and the function of a model."""

    kind: str
    vocab_size: int
    block_size: int
    n_layer: int
    n_head: int
    n_embd: int
    tie_lm_head: bool
    input_rmsnorm: bool


class Architecture(Protocol):
    """The functions of an architecture's module.  ``ops`` is `nanochat_np.ops` or an object with the same names."""

    def shapes(self, config: ModelConfig) -> Shapes:
        """Name and shape of each parameter, in the order in which they are stored and drawn."""

    def initial(self, config: ModelConfig, rng: np.random.Generator) -> dict[str, np.ndarray]:
        """Float64 values to start from."""

    def logits(self, ops: Any, w: Weights, config: ModelConfig, idx: Array, kv: Any = None) -> tuple[Array, Any]:
        """idx (B, T) -> logits (B, T, V) and a cache.  ``kv`` keeps the keys and values of earlier positions."""

    def loss(self, ops: Any, w: Weights, config: ModelConfig, idx: Array, targets: Array) -> tuple[Array, Any]:
        """Mean cross-entropy in nats of ``targets`` (B, T) given ``idx`` (B, T), and a cache."""

    def backward(self, ops: Any, cache: Any, grads: Weights) -> None:
        """Add the gradient of the loss to ``grads``."""


_MODULES = {"bigram": "bigram", "mini-gpt": "mini_gpt"}


def architecture(kind: str) -> Architecture:
    """The module of a model kind.  Raises KeyError for a kind that does not exist."""
    module: Any = importlib.import_module(f"nanochat_np.nn.{_MODULES[kind]}")
    return module


def parameter_count(shapes: Shapes) -> int:
    """Number of scalars in all parameters together."""
    return sum(math.prod(shape) for shape in shapes.values())


def views(flat: Array, shapes: Shapes) -> Weights:
    """Name the parts of one flat array (P,).  Parameters are views of it, so an optimizer is one pass over ``flat``."""
    named, start = {}, 0
    for name, shape in shapes.items():
        size = math.prod(shape)
        named[name] = flat[start : start + size].reshape(shape)
        start += size
    return named


def flatten(weights: Mapping[str, np.ndarray], shapes: Shapes) -> np.ndarray:
    """The inverse of `views` for NumPy arrays: one (P,) array in the order of ``shapes``."""
    return np.concatenate([np.asarray(weights[name]).reshape(-1) for name in shapes])
