"""What is known of one run."""

import shlex
from datetime import UTC, datetime
from pathlib import Path

from nanochat_np.report.curves import charts
from nanochat_np.report.files import ConfigFile, Event, Settings, SummaryFile
from nanochat_np.report.record import Stage
from nanochat_np.report.so_far import so_far

_LOSS_ON = {"assistant": "tokens of the assistant", "all": "all tokens"}


def stage(
    name: str,
    run: Path,
    config: ConfigFile | None,
    summary: SummaryFile | None,
    events: list[Event],
    hourly: float | None,
) -> Stage:
    """A run from its files, at ``hourly`` dollars.

    Of one that has not ended, or that was gone on with after it had, all figures are from its events.
    """
    command = config.command if config else summary.command if summary else run.name
    now = so_far(command, config.config if config else Settings(), events)
    ended = summary is not None and summary.steps >= now.steps
    known = summary if summary and ended else now
    seconds = max(known.train_seconds, known.wall_seconds) + known.start_up_seconds
    times = [path.stat().st_mtime for path in run.iterdir() if path.suffix in (".json", ".jsonl")]
    return Stage(
        name=name,
        command=command,
        folder=str(run),
        ended=ended,
        stopped=next((str(event.get("what")) for event in events[-1:] if event["event"] == "not_finite"), None),
        first_written=_utc(min(times)),
        last_written=_utc(max(times)),
        command_line=shlex.join(["python", "-m", "nanochat_np", *config.command_line]) if config else None,
        base=known.base,
        data=known.data,
        dtype=known.dtype,
        optimizer=known.optimizer,
        seed=known.seed,
        params=known.params,
        steps=known.steps,
        tokens=_tokens(known),
        flops=known.total_flops,
        train_seconds=known.train_seconds or None,
        seconds=seconds or None,
        tokens_per_sec=known.tokens_per_sec,
        mfu=known.mfu,
        peak_memory_mib=known.peak_memory_mib,
        cost_dollars=None if hourly is None else seconds / 3600 * hourly,
        train_loss=known.mean_loss_last_n,
        validation=_validation(command, known),
        val_loss=known.val_loss,
        val_bpb=known.val_bpb,
        docs=known.docs,
        docs_bpb=known.docs_bpb,
        pass_at=known.pass_at,
        samples=known.samples or ({"": known.sample} if known.sample else {}),
        charts=charts(events),
    )


def _tokens(known: SummaryFile) -> int | None:
    if known.tokens_per_step is not None:
        return round(known.steps * known.tokens_per_step)
    if known.batch_size is not None and known.block_size is not None:
        return known.steps * known.batch_size * known.block_size
    return None


def _validation(command: str, known: SummaryFile) -> str:
    """What the validation loss is of: rows of the table compare what is of the same."""
    match command:
        case "train" | "pretrain":
            return f"documents of {known.data}"
        case "rl":
            return f"right answers to {known.data}"
        case _:
            what = f", {_LOSS_ON.get(known.loss_on, known.loss_on)}" if known.loss_on else ""
            return f"conversations of {known.data}{what}"


def _utc(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
