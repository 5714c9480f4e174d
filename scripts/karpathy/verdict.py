"""What the runs come to: each way of upstream's against ours in the same precision."""

import statistics
from collections import defaultdict
from collections.abc import Iterable

import msgspec

from karpathy.work import OURS, Figures, Record

TOLERANCE = 0.05  # of bits per byte


class Way(msgspec.Struct, frozen=True, kw_only=True):
    """Medians over the runs of one way that ended well; None where there are none or they do not tell."""

    runs: int
    tokens_per_sec: float | None
    slowest: float | None
    fastest: float | None
    fwd_bwd_tokens_per_sec: float | None
    optimizer_ms: float | None
    val_bpb: float | None
    first_step_seconds: float | None
    process_mib: float | None
    tree_mib: float | None
    problem: str


class Comparison(msgspec.Struct, frozen=True, kw_only=True):
    """Ours over upstream's.  Ratios above 1 are ours being faster; ``bpb_percent`` below 0 is ours being better.

    ``verdict`` is about the validation bits per byte at the same number of steps; None for runs without validation.
    """

    shape: str
    dtype: str
    mode: str
    ours: Way
    upstream: Way
    speed_ratio: float | None
    fwd_bwd_ratio: float | None
    optimizer_ratio: float | None
    bpb_percent: float | None
    verdict: str | None


def compare(records: Iterable[Record]) -> list[Comparison]:
    """A comparison for each shape, way of upstream's, and precision."""
    ways: dict[tuple[str, str, str, str], list[Record]] = defaultdict(list)
    for record in records:
        ways[record.run.way].append(record)
    found = []
    for (shape, side, mode, dtype), theirs in ways.items():
        if side == "upstream":
            found.append(
                _comparison(shape, dtype, mode, _way(ways.get((shape, "ours", OURS, dtype), [])), _way(theirs))
            )
    return found


def _comparison(shape: str, dtype: str, mode: str, ours: Way, upstream: Way) -> Comparison:
    percent = None
    if ours.val_bpb is not None and upstream.val_bpb is not None:
        percent = 100 * (ours.val_bpb / upstream.val_bpb - 1)
    return Comparison(
        shape=shape,
        dtype=dtype,
        mode=mode,
        ours=ours,
        upstream=upstream,
        speed_ratio=_ratio(ours.tokens_per_sec, upstream.tokens_per_sec),
        fwd_bwd_ratio=_ratio(ours.fwd_bwd_tokens_per_sec, upstream.fwd_bwd_tokens_per_sec),
        optimizer_ratio=_ratio(upstream.optimizer_ms, ours.optimizer_ms),
        bpb_percent=percent,
        verdict=verdict(percent) if percent is not None else None,
    )


def verdict(percent: float) -> str:
    """Of bits per byte that differ by so many percent of upstream's."""
    if percent > 100 * TOLERANCE:
        return f"worse by more than {TOLERANCE:.0%}"
    return f"better by more than {TOLERANCE:.0%}" if percent < -100 * TOLERANCE else f"within {TOLERANCE:.0%}"


def _way(records: list[Record]) -> Way:
    well = [record for record in records if record.status == "ok"]
    figures = [record.figures for record in well if record.figures is not None]
    rates = [each.tokens_per_sec for each in figures]
    bad = [record for record in records if record.status != "ok"]
    return Way(
        runs=len(well),
        tokens_per_sec=_median(rates),
        slowest=min(rates, default=None),
        fastest=max(rates, default=None),
        fwd_bwd_tokens_per_sec=_median_of(figures, "fwd_bwd_tokens_per_sec"),
        optimizer_ms=_median_of(figures, "optimizer_ms"),
        val_bpb=_median_of(figures, "val_bpb"),
        first_step_seconds=_median_of(well, "first_step_seconds"),
        process_mib=_median_of(well, "process_mib"),
        tree_mib=_median_of(well, "tree_mib"),
        problem=f"{bad[0].status}: {bad[0].message.splitlines()[0]}" if bad else "" if records else "not run",
    )


def _median_of(items: list[Figures] | list[Record], name: str) -> float | None:
    return _median([value for value in (getattr(item, name) for item in items) if value is not None])


def _median(values: list[float]) -> float | None:
    return statistics.median(values) if values else None


def _ratio(a: float | None, b: float | None) -> float | None:
    return a / b if a is not None and b else None
