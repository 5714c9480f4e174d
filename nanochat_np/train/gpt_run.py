"""A run of a stage that trains a GPT: trainer, folder, loop and the common part of the summary."""

import contextlib
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, TypeVar

import msgspec
import numpy as np

from nanochat_np import kernels
from nanochat_np.backend.device import Device
from nanochat_np.backend.files import told_as
from nanochat_np.backend.products import array_dtype
from nanochat_np.config import StageConfig
from nanochat_np.errors import Interrupted, RunError
from nanochat_np.evaluate.bits import Validation
from nanochat_np.nn import gpt_config
from nanochat_np.nn.model import parameter_count
from nanochat_np.text import bpe_file
from nanochat_np.train.checkpoint import Checkpoint
from nanochat_np.train.env_record import env_record
from nanochat_np.train.gpt_stage import GPTStage, pace
from nanochat_np.train.gpt_trainer import GPTTrainer
from nanochat_np.train.interrupts import stop_request
from nanochat_np.train.locate import load_newest, load_step
from nanochat_np.train.loop import Reporter, TrainingLoop
from nanochat_np.train.resume import config_record
from nanochat_np.train.run_folder import RunFolder
from nanochat_np.train.sinks import open_sinks
from nanochat_np.train.work import Work

TOKENIZER = "tokenizer"  # folder of a run
LOOPS_OF_A_RUN, _TOLD_EVERY = 30, 5  # about as many kernels are compiled for the default architecture
Found = tuple[Path, Checkpoint] | None
Summary = TypeVar("Summary")


def trainer_of(config: StageConfig, work: Work, weights: Mapping[str, np.ndarray], device: Device) -> GPTTrainer:
    """The trainer of resolved settings, with a copy of ``weights``."""
    return GPTTrainer(
        work.model,
        {name: values.astype(array_dtype(config.dtype), copy=False) for name, values in weights.items()},
        work.rates,
        device,
        muon=config.optimizer == "muon",
        grad_clip=config.grad_clip,
        recompute=config.recompute,
        precision=config.dtype,
        batch_size=config.device_batch_size,
        tokens_per_step=work.tokens_per_step,
        adapter=work.adapter,
    )


def checkpoint_to_resume(config: StageConfig, run: RunFolder, reporter: Reporter) -> Found:
    """The checkpoint that a run goes on from, and its folder; None where it has none yet."""
    step = config.resume_from_step
    return load_step(run.checkpoints, step) if step >= 0 else load_newest(run.checkpoints, reporter.note)


def train_stage(
    stage: GPTStage,
    found: Found,
    data: str,
    run: RunFolder,
    reporter: Reporter,
    started: float,
    summarize: Callable[[dict[str, Any]], Summary],
) -> Summary:
    """Train to the end in an open run folder, from the checkpoint ``found``.

    ``summarize`` makes the summary of what all stages have in common; ``started`` is the time.perf_counter() at which
    start-up began.
    """
    config, device = stage.config, stage.trainer.device
    if found is not None:
        with device.active():
            stage.restore(found[1])
        reporter.note(f"going on from step {found[1].meta.step}")
    run.write_json("config.json", config_record(config, sys.argv[1:]))
    run.write_json("env.json", env_record(device, data, stage.tokenizer.fingerprint))
    with told_as(RunError, "cannot write the tokenizer"):
        bpe_file.save(run.path / TOKENIZER, stage.tokenizer)
    begin = time.perf_counter()
    name, record = config.run or run.path.name, msgspec.to_builtins(config)
    with (
        device.active(),
        stop_request() as stop,
        open_sinks(config.sinks, run.path, name, record, reporter.note) as write,
        stage.loading(),
    ):
        run.listeners.append(write)
        loop = TrainingLoop(stage, pace(config, stage.work), device, run, reporter, stop)
        loop.begin(found)
        del found  # its arrays are in the stage now
        validation = loop.to_end()
    times = {"start_up_seconds": begin - started, "wall_seconds": time.perf_counter() - begin}
    try:
        summary = summarize(_common(stage, loop, validation, run) | times)
        run.write_json("summary.json", summary)
    except KeyboardInterrupt:
        raise Interrupted(loop.step, str(loop.saved)) from None
    return summary


@contextlib.contextmanager
def compiling_told(device: Device, reporter: Reporter) -> Iterator[None]:
    """Says that the first run on a machine compiles, and how far that is."""
    if device.index is not None or not kernels.are_cold():
        yield
        return

    def tell(count: int) -> None:
        if count and count % _TOLD_EVERY == 0:
            reporter.note(f"compiled {count} of about {LOOPS_OF_A_RUN} loops")

    reporter.note("compiling the loops, once on this machine: half a minute")
    with kernels.told_of_first_uses(tell):
        yield


def _common(stage: GPTStage, loop: TrainingLoop, validation: Validation, run: RunFolder) -> dict[str, Any]:
    """The fields of `summary.StageSummary`, but for the times around the loop."""
    config, work, device = stage.config, stage.work, stage.trainer.device
    losses = list(loop.recent_losses)
    rate = loop.step * stage.tokens_per_step / loop.train_seconds if loop.train_seconds else 0.0
    return {
        "device": device.name,
        "backend": device.backend,
        "dtype": config.dtype,
        "architecture": work.model.architecture,
        "params": parameter_count(gpt_config.shapes(work.model)),
        "vocab_size": work.model.vocab_size,
        "steps": loop.step,
        "tokens_per_step": stage.tokens_per_step,
        "seed": config.seed,
        "train_loss": losses[-1] if losses else None,
        "mean_loss_last_n": sum(losses) / len(losses) if losses else None,
        "last_n": len(losses),
        "val_loss": validation.loss,
        "val_bpb": validation.bpb,
        "val_tokens": validation.tokens,
        "min_val_bpb": min(run.values("eval", "val_bpb")),
        "tokens_per_sec": rate,
        "mfu": rate * work.flops_per_token / stage.peak_flops if stage.peak_flops else None,
        "total_flops": float(work.flops_per_token) * stage.tokens_per_step * loop.step,
        "train_seconds": loop.train_seconds,
        "peak_memory_mib": stage.peak_memory / 2**20,
        "samples": dict(stage.samples()),
        "out": str(run.path),
        "checkpoint": str(loop.saved),
    } | ({} if validation.docs_bpb is None else {"docs_bpb": validation.docs_bpb})
