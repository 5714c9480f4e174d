"""From the settings of midtraining or SFT to a finished run: base, conversations, documents, folder, loop, summary."""

import contextlib
from pathlib import Path
from typing import Any

import msgspec

from nanochat_np.backend.device import Device, select_device
from nanochat_np.config import FineTuneConfig
from nanochat_np.data.split import Split, open_split
from nanochat_np.errors import CheckpointError, DataError
from nanochat_np.nn.gpt_config import shapes
from nanochat_np.nn.model import parameter_count
from nanochat_np.ops.peak import peak_flops
from nanochat_np.optim.lora import state_count, trained_count
from nanochat_np.tasks.mixture import Mixtures, open_mixtures
from nanochat_np.text import bpe_file
from nanochat_np.text.bpe import BpeTokenizer
from nanochat_np.train.checkpoint import Checkpoint, read_meta, step_folders
from nanochat_np.train.fine_tune import FineTuneStage, stage_of
from nanochat_np.train.fine_tune_plan import open_base, resolved, work_of
from nanochat_np.train.footprint import require_memory_of_gpt
from nanochat_np.train.gpt_run import TOKENIZER, checkpoint_to_resume, compiling_told, train_stage, trainer_of
from nanochat_np.train.loop import Reporter
from nanochat_np.train.meta import GPTMeta
from nanochat_np.train.run_folder import RunFolder
from nanochat_np.train.sinks import require_sinks
from nanochat_np.train.summary import FineTuneSummary
from nanochat_np.train.task_measurement import task_measurement
from nanochat_np.train.work import Work


class Prepared(msgspec.Struct, frozen=True):
    """All that can fail before anything is written.  ``config`` is resolved.

    ``base`` is None where the run has checkpoints of its own; ``base_meta`` is then that of one of these.
    """

    config: FineTuneConfig
    work: Work
    mixtures: Mixtures
    docs: Split
    tokenizer: BpeTokenizer
    base: Checkpoint | None
    base_meta: GPTMeta
    device: Device


def prepare(config: FineTuneConfig, folder: Path | None, reporter: Reporter) -> Prepared:
    """Choose the device, read the base and the data, and derive the rest.

    ``folder`` is that of the run to go on with.
    """
    device = select_device(config.device)
    require_sinks(config.sinks)
    own = of_run(folder) if folder else None
    if own is not None:
        base, (meta, tokenizer) = None, own
    else:
        meta, tokenizer, base = open_base(config.base, stage_of(config))
    settings = resolved(config, meta, device.index is not None)
    if base is not None and settings.warm_optimizer and (not base.state or meta.settings.get("lora_rank")):
        reporter.note("the base has no optimizer state of all its weights: beginning with a new one")
        settings = msgspec.structs.replace(settings, warm_optimizer=False)
    work = work_of(settings, meta)
    state = state_count(work.adapter, shapes(work.model)) if work.adapter else None
    require_memory_of_gpt(work.model, settings.device_batch_size, settings.recompute, settings.dtype, device, state)
    docs = _documents(settings)
    mixtures = open_mixtures(settings.data, settings.seed, stage_of(settings))
    return Prepared(settings, work, mixtures, docs, tokenizer, base, meta, device)


def fine_tune(prepared: Prepared, run: RunFolder, reporter: Reporter, started: float) -> FineTuneSummary:
    """Train to the end in an open run folder, from its newest sound checkpoint if it has one, else from the base.

    ``started`` is the time.perf_counter() at which start-up began.
    """
    config, work, base, device = prepared.config, prepared.work, prepared.base, prepared.device
    with compiling_told(device, reporter):
        found = checkpoint_to_resume(config, run, reporter)
        begin = found[1] if found else base
        if begin is None:
            raise CheckpointError(f"{run.path}: its checkpoints are gone: start anew in another --out")
        trainer = trainer_of(config, work, begin.weights, device)
        if not found and config.warm_optimizer:
            dtype = next(iter(trainer.optimizer.state.values())).dtype
            state = {name: array.astype(dtype, copy=False) for name, array in begin.state.items()}
            with device.active():
                trainer.optimizer.load_state(state, prepared.base_meta.updates)
        peak = peak_flops(device, config.dtype)
        stage = FineTuneStage(
            config, work, prepared.mixtures, prepared.docs, prepared.tokenizer, trainer, peak, run.path
        )
        if config.task_every > 0:
            stage.measurements = [task_measurement(config.task_every, config.task_items, trainer, prepared.tokenizer)]
        return train_stage(stage, found, config.data, run, reporter, started, lambda common: _summary(prepared, common))


def _documents(config: FineTuneConfig) -> Split:
    """The documents of resolved settings.  Raises DataError under the name that the flag has here."""
    assert config.docs is not None
    assert config.text_field is not None
    try:
        return open_split(config.docs, config.text_field)
    except DataError as error:
        raise DataError(str(error).replace("--data", "--docs", 1)) from None


def of_run(folder: Path) -> tuple[GPTMeta, BpeTokenizer] | None:
    """What the checkpoints of a run say of its model, and its tokenizer; None where it has none yet."""
    for path in step_folders(folder / "checkpoints"):
        with contextlib.suppress(CheckpointError):  # `load_newest` tells what is wrong with it
            meta = read_meta(path)
            if isinstance(meta, GPTMeta):
                return meta, bpe_file.load(folder / TOKENIZER)
    return None


def _summary(prepared: Prepared, common: dict[str, Any]) -> FineTuneSummary:
    config, adapter, of_model = prepared.config, prepared.work.adapter, shapes(prepared.work.model)
    assert config.base is not None  # it was opened, now or when the run was begun
    return FineTuneSummary(
        command=stage_of(config),
        data=config.data,
        depth=prepared.work.model.n_layer,
        optimizer="adamw" if adapter else config.optimizer,
        lora_rank=config.lora_rank,
        trained_params=trained_count(adapter, of_model) if adapter else parameter_count(of_model),
        base=config.base,
        docs=str(config.docs),
        docs_fraction=config.docs_fraction,
        loss_on=config.loss_on,
        warm_optimizer=config.warm_optimizer,
        **common,
    )
