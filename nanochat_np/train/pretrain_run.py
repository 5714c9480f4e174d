"""From the settings of pretraining to a finished run: data, tokenizer, model, folder, loop, summary."""

import contextlib
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import msgspec

from nanochat_np import kernels
from nanochat_np.backend.device import Device, select_device
from nanochat_np.backend.files import told_as
from nanochat_np.backend.products import array_dtype
from nanochat_np.backend.random import stream
from nanochat_np.config import PretrainConfig
from nanochat_np.data.documents import DocumentFile
from nanochat_np.data.loader import tokens_up_to
from nanochat_np.data.split import Split, open_split
from nanochat_np.errors import ConfigError, Interrupted, RunError
from nanochat_np.evaluate.bits import Validation
from nanochat_np.nn import gpt_config
from nanochat_np.nn.model import parameter_count
from nanochat_np.ops.peak import peak_flops
from nanochat_np.text import bpe_file
from nanochat_np.text.bpe import BpeTokenizer
from nanochat_np.text.bpe_training import train_bpe
from nanochat_np.train import plan as plans
from nanochat_np.train.env_record import env_record
from nanochat_np.train.footprint import require_memory_of_gpt
from nanochat_np.train.gpt_trainer import GPTTrainer
from nanochat_np.train.interrupts import stop_request
from nanochat_np.train.locate import load_newest, load_step
from nanochat_np.train.loop import Reporter, TrainingLoop
from nanochat_np.train.pretrain import PretrainStage, pace
from nanochat_np.train.resume import config_record
from nanochat_np.train.run_folder import RunFolder
from nanochat_np.train.sinks import open_sinks, require_sinks
from nanochat_np.train.summary import PretrainSummary

TOKENIZER = "tokenizer"  # folder of a run
LOOPS_OF_A_RUN, _TOLD_EVERY = 30, 5  # about as many kernels are compiled for the default architecture
_TOKENIZER_CHARACTERS, _OF_A_DOCUMENT = 200_000_000, 10_000  # that a tokenizer is trained on, at most


class Prepared(msgspec.Struct, frozen=True):
    """All that can fail before anything is written.  ``config`` is resolved."""

    config: PretrainConfig
    split: Split
    tokenizer: BpeTokenizer
    plan: plans.Plan
    device: Device


def prepare(config: PretrainConfig, folder: Path | None, reporter: Reporter) -> Prepared:
    """Choose the device, open the data, find or train the tokenizer, and derive the rest.

    ``folder`` is that of the run to go on with, whose tokenizer it is.
    """
    device = select_device(config.device)
    require_sinks(config.sinks)
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
    return Prepared(settings, split, tokenizer, plan, device)


def pretrain(prepared: Prepared, run: RunFolder, reporter: Reporter, started: float) -> PretrainSummary:
    """Train to the end in an open run folder, from its newest sound checkpoint if it has one.

    ``started`` is the time.perf_counter() at which start-up began.
    """
    with _compiling_told(prepared.device, reporter):
        return _pretrain(prepared, run, reporter, started)


@contextlib.contextmanager
def _compiling_told(device: Device, reporter: Reporter) -> Iterator[None]:
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


def _pretrain(prepared: Prepared, run: RunFolder, reporter: Reporter, started: float) -> PretrainSummary:
    config, plan, device = prepared.config, prepared.plan, prepared.device
    weights = gpt_config.initial(plan.model, stream(config.seed, "init"))
    weights = {name: values.astype(array_dtype(config.dtype), copy=False) for name, values in weights.items()}
    trainer = GPTTrainer(
        plan.model,
        weights,
        plan.rates,
        device,
        muon=config.optimizer == "muon",
        grad_clip=config.grad_clip,
        recompute=config.recompute,
        precision=config.dtype,
        batch_size=config.device_batch_size,
        tokens_per_step=plan.horizon.total_batch_size,
    )
    del weights
    peak = peak_flops(device, config.dtype)
    stage = PretrainStage(config, plan, prepared.split, prepared.tokenizer, trainer, peak, run.path)
    step = config.resume_from_step
    found = load_step(run.checkpoints, step) if step >= 0 else load_newest(run.checkpoints, reporter.note)
    if found is not None:
        with device.active():
            stage.restore(found[1])
        reporter.note(f"going on from step {found[1].meta.step}")
    run.write_json("config.json", config_record(config, sys.argv[1:]))
    run.write_json("env.json", env_record(device, config.data, prepared.tokenizer.fingerprint))
    with told_as(RunError, "cannot write the tokenizer"):
        bpe_file.save(run.path / TOKENIZER, prepared.tokenizer)
    begin = time.perf_counter()
    name, record = config.run or run.path.name, msgspec.to_builtins(config)
    with (
        device.active(),
        stop_request() as stop,
        open_sinks(config.sinks, run.path, name, record, reporter.note) as write,
        stage.loading(),
    ):
        run.listeners.append(write)
        loop = TrainingLoop(stage, pace(config, plan), device, run, reporter, stop)
        loop.begin(found)
        del found  # its arrays are in the stage now
        validation = loop.to_end()
    wall = time.perf_counter() - begin
    try:
        summary = _summary(prepared, loop, stage, validation, run, begin - started, wall)
        run.write_json("summary.json", summary)
    except KeyboardInterrupt:
        raise Interrupted(loop.step, str(loop.saved)) from None
    return summary


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


def _summary(
    prepared: Prepared,
    loop: TrainingLoop,
    stage: PretrainStage,
    validation: Validation,
    run: RunFolder,
    start_up: float,
    wall: float,
) -> PretrainSummary:
    config, plan, device = prepared.config, prepared.plan, prepared.device
    losses = list(loop.recent_losses)
    rate = loop.step * stage.tokens_per_step / loop.train_seconds if loop.train_seconds else 0.0
    return PretrainSummary(
        data=config.data,
        device=device.name,
        backend=device.backend,
        dtype=config.dtype,
        architecture=config.architecture,
        depth=config.depth,
        params=parameter_count(gpt_config.shapes(plan.model)),
        vocab_size=plan.model.vocab_size,
        optimizer=config.optimizer,
        steps=loop.step,
        tokens_per_step=stage.tokens_per_step,
        seed=config.seed,
        train_loss=losses[-1] if losses else None,
        mean_loss_last_n=sum(losses) / len(losses) if losses else None,
        last_n=len(losses),
        val_loss=validation.loss,
        val_bpb=validation.bpb,
        val_tokens=validation.tokens,
        min_val_bpb=min(run.values("eval", "val_bpb")),
        tokens_per_sec=rate,
        mfu=rate * plan.horizon.flops_per_token / stage.peak_flops if stage.peak_flops else None,
        total_flops=float(plan.horizon.flops_per_token) * stage.tokens_per_step * loop.step,
        train_seconds=loop.train_seconds,
        start_up_seconds=start_up,
        wall_seconds=wall,
        peak_memory_mib=stage.peak_memory / 2**20,
        samples=dict(stage.samples()),
        out=str(run.path),
        checkpoint=str(loop.saved),
    )
