"""Our training from upstream's first weights on its batches, loss by loss."""

import json
from collections.abc import Iterator
from pathlib import Path

import msgspec
import numpy as np

from nanochat_np.backend.device import Device
from nanochat_np.config import PretrainConfig
from nanochat_np.data.loader import packed_batches
from nanochat_np.data.split import open_split
from nanochat_np.errors import DataError
from nanochat_np.nn.gpt_config import GPTConfig, shapes
from nanochat_np.optim.groups import decay_multiplier, lr_multiplier, muon_momentum
from nanochat_np.text import bpe_file
from nanochat_np.train.gpt_trainer import GPTTrainer
from nanochat_np.train.plan import plan, resolved


class Recording(msgspec.Struct, frozen=True):
    """What drivers/record.py wrote: settings, parameters by name, ids (steps, B, T), and a loss for each step."""

    model: GPTConfig
    weights: dict[str, np.ndarray]
    inputs: np.ndarray
    targets: np.ndarray
    losses: list[float]


class Differences(msgspec.Struct, frozen=True, kw_only=True):
    """Of the losses, relative to upstream's.  ``same_batches``: whether our loader gives the ids that theirs did.

    ``control`` is the largest difference of upstream's to its own from weights that were nudged, where that was run.
    """

    same_batches: bool
    first: float
    largest: float
    step_of_largest: int
    ours: list[float]
    upstream: list[float]
    control: float | None = None


def read_recording(folder: Path) -> Recording:
    """Raises DataError for a recording that is not of our model."""
    told = json.loads((folder / "losses.json").read_text(encoding="utf-8"))
    model = GPTConfig(**told["config"])
    with np.load(folder / "weights.npz") as file:
        weights = dict(file)
    if {name: values.shape for name, values in weights.items()} != shapes(model):
        raise DataError(f"{folder}: upstream's parameters are not those of our model")
    with np.load(folder / "batches.npz") as file:
        return Recording(model, weights, file["inputs"], file["targets"], told["losses"])


def compare(
    recorded: Recording, shards: Path, tokenizer: Path, warmup: int, nudged: Recording | None = None
) -> Differences:
    """Train on the batches recorded, from the weights recorded, and set the losses side by side."""
    theirs = recorded.losses
    ours = list(losses(recorded, str(shards), warmup))
    relative = _relative(ours, theirs)
    return Differences(
        same_batches=same_batches(recorded, shards, tokenizer),
        first=relative[0],
        largest=max(relative),
        step_of_largest=int(np.argmax(relative)),
        ours=ours,
        upstream=theirs,
        control=max(_relative(nudged.losses, theirs)) if nudged else None,
    )


def _relative(losses: list[float], to: list[float]) -> list[float]:
    return [abs(a - b) / abs(b) for a, b in zip(losses, to, strict=True)]


def losses(recorded: Recording, data: str, warmup: int) -> Iterator[float]:
    """The loss before each update, in float32, with the rates and the schedule of ``pretrain``."""
    steps, rows, length = recorded.inputs.shape
    model = recorded.model
    config = resolved(
        PretrainConfig(
            data=data,
            depth=model.n_layer,
            head_dim=model.head_dim,
            max_seq_len=length,
            window_pattern=model.window_pattern,
            device_batch_size=rows,
            total_batch_size=rows * length,
            num_iterations=steps,
            warmup_steps=warmup,
        ),
        on_gpu=False,
    )
    found = plan(config, model.vocab_size)
    if found.model != model:
        raise DataError(f"upstream's model is {model}, ours is {found.model}")
    trainer = GPTTrainer(model, recorded.weights, found.rates, Device(), batch_size=rows, tokens_per_step=rows * length)
    for step in range(steps):
        lrm = lr_multiplier(step, steps, config.warmup_steps, config.warmdown_ratio, config.final_lr_frac)
        batch = recorded.inputs[step], recorded.targets[step]
        momentum = muon_momentum(step, steps, config.warmdown_ratio)
        yield trainer.step([batch], lrm, momentum, decay_multiplier(step, steps))[0]


def same_batches(recorded: Recording, shards: Path, tokenizer: Path) -> bool:
    """Whether our loader gives the same ids in the same order."""
    _, rows, length = recorded.inputs.shape
    batches = packed_batches(open_split(str(shards)).train, bpe_file.load(tokenizer), rows, length)
    return all(
        np.array_equal(batch.inputs, inputs) and np.array_equal(batch.targets, targets)
        for inputs, targets, batch in zip(recorded.inputs, recorded.targets, batches, strict=False)
    )
