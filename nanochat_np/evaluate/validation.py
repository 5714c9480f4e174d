"""Loss of a model on held-out text: nats a token, and bits per byte.

A trained model is its parameters, whichever mode trained them, so every model is evaluated with the array operations.
"""

import math
from collections.abc import Callable, Iterator, Mapping

import numpy as np

from nanochat_np import ops
from nanochat_np.backend.arrays import Array, to_numpy
from nanochat_np.backend.device import Device
from nanochat_np.backend.random import stream
from nanochat_np.evaluate.bits import Tally, Validation
from nanochat_np.nn.model import ModelConfig, architecture

_FLOATS = 1 << 21  # held at a time, about: they stay in the cache, and the memory of an evaluation is bounded


def validate(
    config: ModelConfig,
    weights: Mapping[str, np.ndarray],
    tokens: np.ndarray,
    byte_lengths: np.ndarray,
    device: Device,
    *,
    sample: int = 0,
    seed: int = 0,
    observe: Callable[[], None] = lambda: None,
) -> Validation:
    """Predict tokens[1:] from what stands before them in windows of the model's block size, laid side by side.

    ``tokens`` (n,) integer.  With ``sample`` > 0 only about so many tokens are predicted, in whole windows that the
    seed chooses.  ``observe`` is called after each batch.  Computes in the weights' precision, sums in float64.
    """
    tally = Tally()
    with device.active():
        w = {name: device.array(values) for name, values in weights.items()}
        for x, y in _batches(config, tokens, sample, seed):
            tally.add(_nll(config, w, device, x, y), byte_lengths[y.reshape(-1)])
            observe()
    return tally.result()


def _nll(config: ModelConfig, w: dict[str, Array], device: Device, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Negative log-likelihood of each target.   x, y (B, T); returns (B·T,) float64."""
    rows = np.arange(x.size)
    if config.block_size == 1:  # equal contexts have equal logits: each is computed once
        contexts, rows = np.unique(x, return_inverse=True)
        x, rows = contexts[:, None], rows.reshape(-1)
    logits, _ = architecture(config.kind).logits(ops, w, config, device.array(x))
    log_p = ops.log_softmax(logits.reshape(-1, config.vocab_size))
    return -to_numpy(log_p[device.array(rows), device.array(y.reshape(-1))]).astype(np.float64)


def _batches(
    config: ModelConfig, tokens: np.ndarray, sample: int, seed: int
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Inputs and targets (B, T) that cover every token but the first once; what is left at the end is a shorter row."""
    width = config.block_size
    chosen, rest = _windows(config, len(tokens), sample, seed)
    per_batch = max(1, _FLOATS // (width * _floats_per_token(config)))
    for start in range(0, len(chosen), per_batch):
        windows = tokens[chosen[start : start + per_batch, None] * width + np.arange(width + 1)]
        yield windows[:, :-1], windows[:, 1:]
    if rest:
        tail = tokens[-rest - 1 :][None, :]
        yield tail[:, :-1], tail[:, 1:]


def _windows(config: ModelConfig, n_tokens: int, sample: int, seed: int) -> tuple[np.ndarray, int]:
    """Numbers of the windows that are predicted, and how many tokens are left for a shorter one."""
    full, rest = divmod(n_tokens - 1, config.block_size)
    if not sample or sample >= full * config.block_size:
        return np.arange(full), rest
    count = math.ceil(sample / config.block_size)
    return np.sort(stream(seed, "validation").choice(full, count, replace=False)), 0


def predicted(config: ModelConfig, n_tokens: int, sample: int = 0, seed: int = 0) -> np.ndarray:
    """Which tokens `validate` predicts with these arguments, as positions in tokens[1:], (n,) in order."""
    chosen, rest = _windows(config, n_tokens, sample, seed)
    positions = (chosen[:, None] * config.block_size + np.arange(config.block_size)).reshape(-1)
    return np.concatenate([positions, np.arange(n_tokens - 1 - rest, n_tokens - 1)])


def _floats_per_token(config: ModelConfig) -> int:
    """What the forward pass keeps for a token: logits, and in each block some 20 vectors and two rows of attention."""
    return config.vocab_size + config.n_layer * (20 * config.n_embd + 2 * config.n_head * config.block_size)
