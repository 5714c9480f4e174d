"""From the settings of reinforcement learning to a finished run: base, problems, folder, loop, summary."""

from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from nanochat_np.backend.device import Device, select_device
from nanochat_np.config import RlConfig
from nanochat_np.errors import CheckpointError
from nanochat_np.evaluate.pass_at import ks
from nanochat_np.ops.peak import peak_flops
from nanochat_np.tasks.problems import Problems, open_problems
from nanochat_np.text.bpe import BpeTokenizer
from nanochat_np.text.conversation import Conversation, render_conversation
from nanochat_np.train.checkpoint import Checkpoint
from nanochat_np.train.fine_tune_plan import open_base
from nanochat_np.train.fine_tune_run import of_run
from nanochat_np.train.footprint import require_memory_of_gpt
from nanochat_np.train.gpt_run import checkpoint_to_resume, compiling_told, train_stage, trainer_of
from nanochat_np.train.loop import LAST_N, Reporter
from nanochat_np.train.rl import RlStage
from nanochat_np.train.rl_plan import resolved, work_of
from nanochat_np.train.run_folder import RunFolder
from nanochat_np.train.sinks import require_sinks
from nanochat_np.train.summary import RlSummary
from nanochat_np.train.work import Work


class Prepared(msgspec.Struct, frozen=True):
    """All that can fail before anything is written.  ``config`` is resolved.

    ``base`` is None where the run has checkpoints of its own.
    """

    config: RlConfig
    work: Work
    problems: Problems
    held_out: Problems
    tokenizer: BpeTokenizer
    base: Checkpoint | None
    device: Device


def prepare(config: RlConfig, folder: Path | None, reporter: Reporter) -> Prepared:
    """Choose the device, read the base and the problems, and derive the rest.

    ``folder`` is that of the run to go on with.
    """
    device = select_device(config.device)
    require_sinks(config.sinks)
    own = of_run(folder) if folder else None
    base = None
    if own is not None:
        meta, tokenizer = own
    else:
        meta, tokenizer, base = open_base(config.base, "rl")
    context = meta.model.sequence_len

    def fits(conversation: Conversation) -> bool:
        tokens, _ = render_conversation(tokenizer, conversation, context + 1)
        return len(tokens) <= context

    problems, held_out = open_problems(config.data, config.seed, fits, reporter.note)
    settings = resolved(config, meta, problems.length, device.index is not None)
    work = work_of(settings, meta)
    require_memory_of_gpt(work.model, settings.device_batch_size, settings.recompute, settings.dtype, device)
    return Prepared(settings, work, problems, held_out, tokenizer, base, device)


def reinforce(prepared: Prepared, run: RunFolder, reporter: Reporter, started: float) -> RlSummary:
    """Train to the end in an open run folder, from its newest sound checkpoint if it has one, else from the base.

    ``started`` is the time.perf_counter() at which start-up began.
    """
    config, work, device = prepared.config, prepared.work, prepared.device
    with compiling_told(device, reporter):
        found = checkpoint_to_resume(config, run, reporter)
        begin = found[1] if found else prepared.base
        if begin is None:
            raise CheckpointError(f"{run.path}: its checkpoints are gone: start anew in another --out")
        trainer = trainer_of(config, work, begin.weights, device)
        peak = peak_flops(device, config.dtype)
        stage = RlStage(config, work, prepared.problems, prepared.held_out, prepared.tokenizer, trainer, peak, run.path)

        def summarize(common: dict[str, Any]) -> RlSummary:
            return _summary(prepared, run, stage, common)

        return train_stage(stage, found, config.data, run, reporter, started, summarize)


def _summary(prepared: Prepared, run: RunFolder, stage: RlStage, common: dict[str, Any]) -> RlSummary:
    """The work of a step differs: what `gpt_run` multiplies by the steps is added up here."""
    config = prepared.config
    assert config.base is not None  # it was opened, now or when the run was begun
    tokens, flops, rewards = (run.values("step", field) for field in ("tokens", "flops", "reward"))
    seconds = common["train_seconds"]
    measured = {
        "tokens_per_step": round(sum(tokens) / len(tokens)) if tokens else 0,
        "tokens_per_sec": sum(tokens) / seconds if seconds else 0.0,
        "total_flops": sum(flops),
        "mfu": sum(flops) / seconds / stage.peak_flops if stage.peak_flops and seconds else None,
    }
    solved = {k: run.values("eval", f"pass_at_{k}") for k in ks(config.num_samples)}
    return RlSummary(
        data=config.data,
        depth=prepared.work.model.n_layer,
        optimizer=config.optimizer,
        base=config.base,
        examples_per_step=config.examples_per_step,
        num_samples=config.num_samples,
        reward=float(np.mean(rewards[-LAST_N:])) if rewards else None,
        pass_at={k: shares[-1] for k, shares in solved.items()},
        pass_at_start=None if run.values("eval", "step")[0] else {k: shares[0] for k, shares in solved.items()},
        **common | measured,
    )
