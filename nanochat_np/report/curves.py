"""The charts of a run, from its events."""

import numpy as np

from nanochat_np.report.files import Event, column, fields
from nanochat_np.report.record import Chart, Series

_POINTS = 400  # of a line, at most
_SHARE = 50  # the mean of a point is over one in so many of all steps


def charts(events: list[Event]) -> list[Chart]:
    """Loss, bits per byte, reward and pass@k, each where there is something to be seen."""
    passes = {field: f"pass@{field.removeprefix('pass_at_')}" for field in fields(events, "pass_at_")}
    loss = [_smooth(events, "loss", "training"), _marked(events, "val_loss", "validation")]
    bits = [_marked(events, "val_bpb", "validation"), _marked(events, "docs_bpb", "documents")]
    found = [
        Chart(name="loss", title="Loss", unit="nats a token", series=_there(loss, 1)),
        Chart(name="bpb", title="Validation", unit="bits per byte", series=_there(bits, 2)),
        Chart(
            name="reward",
            title="Reward",
            unit="mean of a step",
            series=_there([_smooth(events, "reward", "reward")], 1),
        ),
        Chart(
            name="pass",
            title="Problems solved by one of k answers",
            unit="share",
            series=_there([_marked(events, field, name) for field, name in passes.items()], 1),
        ),
    ]
    return [chart for chart in found if chart.series]


def _there(series: list[Series], points: int) -> list[Series]:
    """Those that have so many points or more that are finite."""
    return [each for each in series if np.isfinite(each.values).sum() >= points]


def _marked(events: list[Event], field: str, name: str) -> Series:
    steps, values = column(events, "eval", field)
    return Series(name=name, steps=steps.tolist(), values=values.tolist(), marked=True)


def _smooth(events: list[Event], field: str, name: str) -> Series:
    steps, values = column(events, "step", field)
    window = max(1, len(values) // _SHARE)
    told = f"{name}, mean of {window} steps" if window > 1 else name
    kept, means = smoothed(steps, values, window)
    return Series(name=told, steps=kept.tolist(), values=means.tolist(), marked=False)


def smoothed(steps: np.ndarray, values: np.ndarray, window: int) -> tuple[np.ndarray, np.ndarray]:
    """At most ``_POINTS`` of the steps, and of each the mean of the last ``window`` values that are finite.

    steps, values (N,).  A value that is not finite leaves a gap: NaN at the first step that is kept from there on.
    """
    stride = -(-len(values) // _POINTS) or 1
    kept = np.arange(len(values) - 1, -1, -stride)[::-1]
    means = np.full(len(kept), np.nan)
    with np.errstate(over="ignore"):
        for point, last in enumerate(kept):
            if np.isfinite(values[max(0, last - stride + 1) : last + 1]).all():
                seen = values[max(0, last - window + 1) : last + 1]
                means[point] = seen[np.isfinite(seen)].mean()
    return steps[kept], means
