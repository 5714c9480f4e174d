"""The summary of a run that has none yet, from its settings and its events."""

import msgspec
import numpy as np

from nanochat_np.report.files import Event, Settings, SummaryFile, column, fields, number

_LAST = 50  # losses whose mean is told, as in a summary


def so_far(command: str, settings: Settings, events: list[Event]) -> SummaryFile:
    """As far as the run has come.  Parameters and FLOPs are not known before its end."""
    seconds, rates = (column(events, "step", field)[1] for field in ("seconds", "tokens_per_sec"))
    losses = column(events, "step", "loss")[1][-_LAST:]
    losses = losses[np.isfinite(losses)]
    steps = max((event["step"] for event in events if event["event"] == "step"), default=0)
    trained = float(np.nansum(seconds))
    tokens = float(np.nansum(seconds * rates)) if len(seconds) == len(rates) else 0.0
    passes = fields(events, "pass_at_")
    solved = {field.removeprefix("pass_at_"): number(events, "eval", field) for field in passes}
    return SummaryFile(
        **msgspec.structs.asdict(settings),
        command=command,
        steps=steps,
        tokens_per_step=tokens / steps if tokens else None,
        mean_loss_last_n=float(losses.mean()) if len(losses) else None,
        val_loss=number(events, "eval", "val_loss"),
        val_bpb=number(events, "eval", "val_bpb"),
        docs_bpb=number(events, "eval", "docs_bpb"),
        pass_at={k: share for k, share in solved.items() if share is not None},
        tokens_per_sec=tokens / trained if trained else None,
        train_seconds=trained,
        wall_seconds=trained + float(np.nansum(column(events, "eval", "seconds")[1])),
        peak_memory_mib=_most(column(events, "step", "memory_mib")[1]),
        samples={
            str(event.get("prompt", "")): str(event.get("text", "")) for event in events if event["event"] == "sample"
        },
    )


def _most(values: np.ndarray) -> float | None:
    values = values[np.isfinite(values)]
    return float(values.max()) if len(values) else None
