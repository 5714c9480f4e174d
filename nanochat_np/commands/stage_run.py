"""What the commands that train a GPT do around the training."""

import contextlib
from collections.abc import Callable
from pathlib import Path
from typing import Generic, NamedTuple, Protocol, TypeVar

import msgspec

from nanochat_np.command_line.console import progress
from nanochat_np.commands.run_path import require_free, run_path
from nanochat_np.config import FineTuneConfig, PretrainConfig, RlConfig
from nanochat_np.experiments.curves import can_plot
from nanochat_np.experiments.loss_plot import plot_losses
from nanochat_np.train.loop import Reporter, one_line
from nanochat_np.train.resume import resumed_config
from nanochat_np.train.run_folder import RunFolder, new_path
from nanochat_np.train.summary import StageSummary
from nanochat_np.train.work import Work

PLOT = "loss.png"


class Prepared(Protocol):
    """What a stage makes of its settings before anything is written."""

    @property
    def work(self) -> Work: ...


Config = TypeVar("Config", PretrainConfig, FineTuneConfig, RlConfig)
P = TypeVar("P", bound=Prepared)
S = TypeVar("S", bound=StageSummary)


class Opened(NamedTuple, Generic[Config]):
    """The settings, whether they are those of a run to go on with, and the folder, None where one is to be made."""

    config: Config
    saved: bool
    path: Path | None


def opened(config: Config, given: frozenset[str]) -> Opened[Config]:
    """The settings of this call, or of the run that it goes on with.  Raises ConfigError or CheckpointError."""
    if config.resume_from_step >= 0:
        config = msgspec.structs.replace(config, resume=True)
    path = run_path(config)
    saved = resumed_config(RunFolder(path), config, given) if path and config.resume else None
    return Opened(saved or config, saved is not None, path)


def run_stage(
    found: Opened[Config],
    name: str,
    started: float,
    prepare: Callable[[Config, Path | None, Reporter], P],
    train: Callable[[P, RunFolder, Reporter, float], S],
) -> S:
    """Prepare, then train in the folder found, or in a new one that is called after ``name``, and draw the losses.

    ``started`` is the time.perf_counter() at which start-up began.
    """
    config, saved, path = found
    require_free(path, config.resume)
    with contextlib.ExitStack() as stack:
        shown = stack.enter_context(progress(0, config.quiet))
        if config.resume and not saved:
            shown.note(f"nothing to go on with in {path}: starting at step 0")
        prepared = prepare(config, path if saved else None, shown)
        shown.total = prepared.work.iterations
        folder = stack.enter_context(RunFolder(path or new_path(name)))
        require_free(path, config.resume)  # once more: another process may have begun while this one prepared
        summary = train(prepared, folder, shown, started)
        if can_plot():
            title = f"{summary.command}: depth {summary.depth}, {summary.data}"
            plot_losses(folder.path / PLOT, folder.path / "metrics.jsonl", title)
    return summary


def report(summary: StageSummary, of_documents: str = "") -> list[str]:
    """Lines on what every stage has."""
    s = summary
    share = "" if s.mfu is None else f", {100 * s.mfu:.0f} % of the peak"
    return [
        f"depth {s.depth} on {s.data}: {s.params:,} parameters, {s.steps:,} steps of {s.tokens_per_step:,} tokens in "
        f"{s.train_seconds:.1f} s ({s.tokens_per_sec:,.0f} tokens/s on {s.device}{share})",
        f"validation {s.val_loss:.4f} nats a token, {s.val_bpb:.4f} bits per byte (least {s.min_val_bpb:.4f})"
        + of_documents,
        *(["", "it writes:"] if s.samples else []),
        *(f"  {one_line(prompt, text)}" for prompt, text in s.samples.items()),
        "",
        f"files   {s.out}",
    ]
