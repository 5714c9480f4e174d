"""From settings to a finished run: data, trainer, folder, loop, summary."""

import sys
import time
from collections.abc import Callable
from pathlib import Path

import msgspec

from nanochat_np import kernels
from nanochat_np.backend.device import Device, select_device
from nanochat_np.backend.random import stream
from nanochat_np.config import TrainConfig
from nanochat_np.data.dataset import Dataset, load_dataset, require_window
from nanochat_np.errors import Interrupted
from nanochat_np.evaluate.baselines import baselines
from nanochat_np.evaluate.bits import Validation
from nanochat_np.evaluate.validation import predicted, validate
from nanochat_np.infer.engine import Engine
from nanochat_np.infer.sampler import random_sampler
from nanochat_np.infer.text import continue_text
from nanochat_np.nn.model import ModelConfig
from nanochat_np.train.character import CharacterStage, pace
from nanochat_np.train.env_record import env_record
from nanochat_np.train.footprint import require_memory
from nanochat_np.train.interrupts import stop_request
from nanochat_np.train.locate import load_newest
from nanochat_np.train.loop import Reporter, TrainingLoop
from nanochat_np.train.resume import config_record
from nanochat_np.train.run_folder import RunFolder
from nanochat_np.train.summary import TrainSummary
from nanochat_np.train.trainer import Trainer, make_trainer, n_parameters, weights

SAMPLE_TEMPERATURE = 0.8


def model_config(config: TrainConfig, vocab_size: int) -> ModelConfig:
    """The model that resolved settings describe, over an alphabet."""
    bigram = config.model_kind == "bigram"
    return ModelConfig(
        kind=config.model_kind,
        vocab_size=vocab_size,
        block_size=1 if bigram else config.block_size or 0,
        n_layer=0 if bigram else config.n_layer or 0,
        n_head=0 if bigram else config.n_head or 0,
        n_embd=vocab_size if bigram else config.n_embd or 0,
        tie_lm_head=config.tie_lm_head,
        input_rmsnorm=config.input_rmsnorm,
    )


class Prepared(msgspec.Struct, frozen=True):
    """All that can fail before anything is written."""

    config: TrainConfig
    dataset: Dataset
    device: Device
    trainer: Trainer


def prepare(config: TrainConfig, note: Callable[[str], None] = lambda text: None) -> Prepared:
    """Choose the device, read the data, make and compile the trainer.   ``config`` is resolved."""
    device = select_device(config.device)
    dataset = load_dataset(config.data, config.style, config.val_fraction)
    model = model_config(config, dataset.tokenizer.vocab_size)
    require_window(dataset, model.block_size)
    require_memory(model, config.batch_size, config.dtype or "", device)
    trainer = make_trainer(config, model, config.seed, dataset.train, device)
    if device.index is None and kernels.are_cold():
        note("compiling the loops, once on this machine: a few seconds")
    with stop_request() as stop:  # compiled code would lose an interrupt, or fail over it
        trainer.warm_up(config.batch_size)
    if stop.asked:
        raise KeyboardInterrupt
    return Prepared(config, dataset, device, trainer)


def train(prepared: Prepared, run: RunFolder, reporter: Reporter, started: float) -> TrainSummary:
    """Train to the end in an open run folder, from its newest sound checkpoint if it has one.

    ``started`` is the time.perf_counter() at which start-up began.
    """
    config, dataset, device, trainer = prepared.config, prepared.dataset, prepared.device, prepared.trainer
    stage = CharacterStage(config, dataset, trainer, device, run.path)
    found = load_newest(run.checkpoints, reporter.note)
    if found is not None:
        with device.active():
            stage.restore(found[1])
        reporter.note(f"going on from step {found[1].meta.step}")
    run.write_json("config.json", config_record(config, sys.argv[1:]))
    run.write_json("env.json", env_record(device, dataset.name, dataset.sha256))
    begin = time.perf_counter()
    with device.active(), stop_request() as stop:
        loop = TrainingLoop(stage, pace(config), device, run, reporter, stop)
        loop.begin(found)
        del found  # its arrays are in the stage now
        validation = loop.to_end()
    wall_seconds = time.perf_counter() - begin
    try:
        summary = _summary(prepared, loop, validation, run.path, begin - started, wall_seconds)
        run.write_json("summary.json", summary)
    except KeyboardInterrupt:
        raise Interrupted(loop.step, str(loop.saved)) from None
    return summary


def _summary(
    prepared: Prepared, loop: TrainingLoop, validation: Validation, out: Path, start_up: float, wall: float
) -> TrainSummary:
    config, dataset, device, trainer = prepared.config, prepared.dataset, prepared.device, prepared.trainer
    model, losses = trainer.config, list(loop.recent_losses) or [_untrained_loss(prepared)]
    positions = predicted(model, len(dataset.val), config.val_tokens, config.seed)
    counting = baselines(dataset.train, dataset.val, dataset.byte_lengths, positions)
    rate = loop.step / loop.train_seconds if loop.train_seconds else 0.0
    return TrainSummary(
        mode=config.mode,
        model_kind=config.model_kind,
        style=config.style,
        data=dataset.name,
        device=device.name,
        backend=device.backend,
        using_gpu=device.index is not None,
        dtype=str(trainer.p.dtype),
        tie_lm_head=config.tie_lm_head,
        input_rmsnorm=config.input_rmsnorm,
        optimizer=config.optimizer,
        params=n_parameters(model),
        steps=loop.step,
        seed=config.seed,
        batch_size=config.batch_size,
        block_size=model.block_size,
        train_loss=losses[-1],
        mean_loss_last_n=sum(losses) / len(losses),
        last_n=len(losses),
        val_loss=validation.loss,
        val_bpb=validation.bpb,
        baselines={name: found.loss for name, found in counting.items()},
        baselines_bpb={name: found.bpb for name, found in counting.items()},
        steps_per_sec=rate,
        tokens_per_sec=rate * config.batch_size * model.block_size,
        train_seconds=loop.train_seconds,
        start_up_seconds=start_up,
        wall_seconds=wall,
        vocab_size=model.vocab_size,
        train_tokens=len(dataset.train),
        val_tokens=validation.tokens,
        sample=_sample(prepared),
        out=str(out),
        checkpoint=str(loop.saved),
    )


def _untrained_loss(prepared: Prepared) -> float:
    """Loss on about a batch of training text, for --steps 0, where no step reported one."""
    config, trainer = prepared.config, prepared.trainer
    sample = config.batch_size * trainer.config.block_size
    values, tokens, lengths = weights(trainer), prepared.dataset.train, prepared.dataset.byte_lengths
    return validate(trainer.config, values, tokens, lengths, prepared.device, sample=sample, seed=config.seed).loss


def _sample(prepared: Prepared) -> str:
    config, trainer = prepared.config, prepared.trainer
    engine = Engine(trainer.config, weights(trainer), prepared.device)
    sampler = random_sampler(SAMPLE_TEMPERATURE, 0, 1.0, stream(config.seed, "sampling/0"))
    return "".join(continue_text(engine, prepared.dataset.tokenizer, config.style, "", config.sample_tokens, sampler))
