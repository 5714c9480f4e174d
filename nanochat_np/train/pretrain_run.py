"""From the settings of pretraining to a finished run: data, tokenizer, model, folder, loop, summary."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import msgspec

from nanochat_np.backend.device import Device, select_device
from nanochat_np.backend.random import stream
from nanochat_np.config import PretrainConfig
from nanochat_np.data.documents import DocumentFile
from nanochat_np.data.loader import tokens_up_to
from nanochat_np.data.split import Split, open_split
from nanochat_np.errors import ConfigError
from nanochat_np.evaluate.core_bundle import CoreTask
from nanochat_np.nn import gpt_config
from nanochat_np.ops.peak import peak_flops
from nanochat_np.text import bpe_file
from nanochat_np.text.bpe import BpeTokenizer
from nanochat_np.text.bpe_training import train_bpe
from nanochat_np.train import plan as plans
from nanochat_np.train.core_measurement import core_measurement, core_tasks
from nanochat_np.train.footprint import require_memory_of_gpt
from nanochat_np.train.gpt_run import TOKENIZER, checkpoint_to_resume, compiling_told, train_stage, trainer_of
from nanochat_np.train.loop import Reporter
from nanochat_np.train.pretrain import PretrainStage
from nanochat_np.train.run_folder import RunFolder
from nanochat_np.train.sinks import require_sinks
from nanochat_np.train.summary import PretrainSummary
from nanochat_np.train.work import Work

_TOKENIZER_CHARACTERS, _OF_A_DOCUMENT = 200_000_000, 10_000  # that a tokenizer is trained on, at most


class Prepared(msgspec.Struct, frozen=True):
    """All that can fail before anything is written.  ``config`` is resolved."""

    config: PretrainConfig
    split: Split
    tokenizer: BpeTokenizer
    plan: plans.Plan
    device: Device
    core: list[CoreTask]

    @property
    def work(self) -> Work:
        return self.plan.work


def prepare(config: PretrainConfig, folder: Path | None, reporter: Reporter) -> Prepared:
    """Choose the device, open the data, find or train the tokenizer, and derive the rest.

    ``folder`` is that of the run to go on with, whose tokenizer it is.
    """
    device = select_device(config.device)
    require_sinks(config.sinks)
    core = core_tasks(config)
    settings = plans.resolved(config, device.index is not None)
    plans.plan(settings, settings.vocab_size)  # raises for what does not fit, before the data is read
    split = open_split(settings.data, settings.text_field)
    tokenizer = _tokenizer(config, settings.vocab_size, split, folder, reporter)
    settings = msgspec.structs.replace(settings, vocab_size=tokenizer.vocab_size)
    plan = plans.plan(settings, tokenizer.vocab_size)
    require_memory_of_gpt(plan.model, settings.device_batch_size, settings.recompute, settings.dtype, device)
    if settings.eval_tokens > 0 and config.eval_tokens < 0:
        most = tokens_up_to(split.validation, tokenizer, settings.eval_tokens)
        settings = msgspec.structs.replace(settings, eval_tokens=most)
    return Prepared(settings, split, tokenizer, plan, device, core)


def pretrain(prepared: Prepared, run: RunFolder, reporter: Reporter, started: float) -> PretrainSummary:
    """Train to the end in an open run folder, from its newest sound checkpoint if it has one.

    ``started`` is the time.perf_counter() at which start-up began.
    """
    config, plan, device = prepared.config, prepared.plan, prepared.device
    with compiling_told(device, reporter):
        weights = gpt_config.initial(plan.model, stream(config.seed, "init"))
        trainer = trainer_of(config, plan.work, weights, device)
        del weights
        peak = peak_flops(device, config.dtype)
        stage = PretrainStage(config, plan, prepared.split, prepared.tokenizer, trainer, peak, run.path)
        if core := prepared.core:
            stage.measurements = [core_measurement(config.core_metric_every, core, trainer, prepared.tokenizer)]
        found = checkpoint_to_resume(config, run, reporter)
        return train_stage(stage, found, config.data, run, reporter, started, lambda common: _summary(prepared, common))


def _tokenizer(
    config: PretrainConfig, vocab_size: int, split: Split, folder: Path | None, reporter: Reporter
) -> BpeTokenizer:
    """The tokenizer of the run, or that of the flag, or one that is trained on the beginning of the data."""
    of_run = folder / TOKENIZER if folder else None
    if of_run is not None and (of_run / bpe_file.NAME).exists():
        return bpe_file.load(of_run)
    if config.tokenizer is not None:
        tokenizer = bpe_file.load(Path(config.tokenizer).expanduser())
        if config.vocab_size not in (-1, tokenizer.vocab_size):
            raise ConfigError(
                f"--vocab-size {config.vocab_size}: the tokenizer in {config.tokenizer} has {tokenizer.vocab_size} "
                f"tokens: leave the flag out"
            )
        return tokenizer
    reporter.note(f"training a tokenizer of {vocab_size:,} tokens on {config.data}")
    return train_bpe(_beginning(split.train), vocab_size)


def _beginning(files: Sequence[DocumentFile]) -> Iterator[str]:
    """The first documents, each cut to a length, so many that their characters are enough."""
    left = _TOKENIZER_CHARACTERS
    for text in _documents(files):
        yield text[:_OF_A_DOCUMENT]
        left -= min(len(text), _OF_A_DOCUMENT)
        if left <= 0:
            return


def _documents(files: Sequence[DocumentFile]) -> Iterator[str]:
    for file in files:
        for group in file.groups():
            yield from file.read(group)


def _summary(prepared: Prepared, common: dict[str, Any]) -> PretrainSummary:
    config = prepared.config
    return PretrainSummary(data=config.data, depth=config.depth, optimizer=config.optimizer, **common)
