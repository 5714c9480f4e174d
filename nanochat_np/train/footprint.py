"""Whether a training step fits into memory, asked before the system answers by killing the process."""

import numpy as np
import psutil

from nanochat_np.backend.device import Device
from nanochat_np.backend.products import array_dtype
from nanochat_np.errors import ConfigError
from nanochat_np.nn.gpt_config import GPTConfig, scaling_counts
from nanochat_np.nn.model import ModelConfig, architecture, parameter_count

_GIB = 2**30


def step_bytes(config: ModelConfig, batch_size: int, itemsize: int) -> int:
    """About what a step holds at its peak: rough, and rather too little than too much.

    Each layer keeps its attention weights (B, H, T, T) for the backward, which has two more of them at a time; some 18
    arrays of (B, T, C) a layer; logits, probabilities and their gradient; parameters, gradient and two moments.
    """
    tokens = batch_size * config.block_size
    attention = tokens * config.block_size * config.n_head * (config.n_layer + 2 if config.n_layer else 0)
    parameters = parameter_count(architecture(config.kind).shapes(config))
    rows = min(tokens, config.vocab_size) if config.kind == "bigram" else tokens
    floats = attention + 18 * config.n_layer * tokens * config.n_embd + 3 * rows * config.vocab_size + 4 * parameters
    return floats * itemsize


def require_memory(config: ModelConfig, batch_size: int, dtype: str, device: Device) -> None:
    """Raise ConfigError where a step would take more than the device has free."""
    needed = step_bytes(config, batch_size, np.dtype(dtype).itemsize)
    _require(needed, device, "lower --batch-size, --block-size, --n-embd or --n-layer")


def gpt_step_parts(
    config: GPTConfig, batch_size: int, recompute: bool, itemsize: int, state: int | None = None
) -> dict[str, int]:
    """About what a step of the GPT holds at its peak, in bytes by what it is for.

    Parameters and gradient, of embeddings with the rows of a pass alone; two moments each for AdamW's, one for Muon's,
    or ``state`` numbers in their place; the head twice, packed; some 12 arrays of (B, T, C) a layer, or with
    ``recompute`` one, and those of one layer more for its backward.
    """
    counts, tokens = scaling_counts(config), batch_size * config.sequence_len
    without_rows = max(0.0, 1 - tokens / config.vocab_size) * (counts["wte"] + counts["value_embeds"])
    kept = config.n_layer + 12 if recompute else 12 * (config.n_layer + 1)
    parts = {
        "parameters": counts["total"],
        "gradient": counts["total"] - int(without_rows),
        "moments": 2 * counts["total"] - counts["transformer_matrices"] if state is None else state,
        "head_packed": 2 * counts["lm_head"],
        "kept_for_backward": kept * tokens * config.n_embd,
    }
    return {name: itemsize * numbers for name, numbers in parts.items()}


def gpt_step_bytes(config: GPTConfig, batch_size: int, recompute: bool, itemsize: int, state: int | None = None) -> int:
    """The sum of `gpt_step_parts`."""
    return sum(gpt_step_parts(config, batch_size, recompute, itemsize, state).values())


def require_memory_of_gpt(
    config: GPTConfig, batch_size: int, recompute: bool, dtype: str, device: Device, state: int | None = None
) -> None:
    """Raise ConfigError where a step of the GPT would take more than the device has free; see `gpt_step_parts`."""
    needed = gpt_step_bytes(config, batch_size, recompute, np.dtype(array_dtype(dtype)).itemsize, state)
    _require(
        needed, device, "lower --device-batch-size, --max-seq-len or --depth" + ", or use --recompute" * (not recompute)
    )


def _require(needed: int, device: Device, remedy: str) -> None:
    if device.index is None:
        free = psutil.virtual_memory().available
    else:
        with device.active():
            free = device.xp.cuda.runtime.memGetInfo()[0]
    if needed > free:
        raise ConfigError(
            f"a step would take about {needed / _GIB:.1f} GiB and {device.name} has {free / _GIB:.1f} free: {remedy}"
        )
