"""The table of metrics by stage."""

from typing import Final

from nanochat_np.report.evaluations import Results
from nanochat_np.report.record import Metric, Stage, Unit

_BITS: Final = "bits per byte"


def metrics(stages: list[Stage], results: Results) -> list[Metric]:
    """Bits per byte by what they are of, pass@k by the problems, then the benchmarks."""
    bits: dict[str, dict[str, float]] = {}
    solved: dict[str, dict[str, float]] = {}
    for stage in stages:
        if stage.val_bpb is not None:
            bits.setdefault(stage.validation, {})[stage.name] = stage.val_bpb
        if stage.docs_bpb is not None:
            bits.setdefault(f"documents of {stage.docs}", {})[stage.name] = stage.docs_bpb
        for k, share in stage.pass_at.items():
            solved.setdefault(f"pass@{k}, {stage.data}", {})[stage.name] = share
    rows = [_metric(what, _BITS, values) for what, values in bits.items()]
    rows += [_metric(what, "share", values) for what, values in solved.items()]
    return rows + [
        _benchmark(name, results) for name in dict.fromkeys(name for each in results.values() for name in each)
    ]


def _benchmark(name: str, results: Results) -> Metric:
    found = {stage: each[name] for stage, each in results.items() if name in each}
    kind = next(iter(found.values())).metric
    unit: Unit = _BITS if kind == _BITS else "share" if kind == "accuracy" else "number"
    scores = {stage: result.score for stage, result in found.items() if result.score is not None}
    failed = {stage: result.failed for stage, result in found.items() if result.failed is not None}
    return _metric(name if kind == "accuracy" else f"{name}, {kind}", unit, scores, failed)


def _metric(
    name: str,
    unit: Unit,
    values: dict[str, float],
    failed: dict[str, str] | None = None,
) -> Metric:
    best = (min if unit == _BITS else max)(values.values(), default=None)
    return Metric(
        name=name,
        unit=unit,
        better="lower" if unit == _BITS else "higher",
        values=values,
        failed=failed or {},
        best=[stage for stage, value in values.items() if value == best] if len(set(values.values())) > 1 else [],
    )
