"""The comparison as files: summary.json, README.md, and comparison.png where matplotlib is."""

import time
from pathlib import Path
from typing import Any

import msgspec

from karpathy.verdict import TOLERANCE, Comparison, Way
from karpathy.work import Record, Shape, Task
from nanochat_np.backend.files import replace_file
from nanochat_np.experiments.table import Cells, markdown_table

_SMOOTHING = 0.9  # of the losses in the plot
_HEAD = ("model", "upstream", "side", "runs", "tokens/s")
_FROM_OUTSIDE = ("first step, s", "process, MiB", "with children, MiB")


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """Everything: ``what`` is "training" or "speed"."""

    schema: int = 1
    what: str
    time_utc: str
    invocation: str
    upstream_commit: str
    upstream_python: dict[str, Any]
    environment: dict[str, Any]
    task: Task
    shapes: list[Shape]
    text: str
    uncounted: str = "the first 5 steps, or half of fewer than 10"
    comparisons: list[Comparison]
    runs: list[Record]


def write(report: Report, folder: Path) -> None:
    """Write all files; what has a chart gets one."""
    folder.mkdir(parents=True, exist_ok=True)
    content = msgspec.json.encode(report, enc_hook=str)
    replace_file(folder / "summary.json", msgspec.json.format(content) + b"\n")
    replace_file(folder / "README.md", readme(report, plot(report, folder / "comparison.png")).encode())


def now() -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())


def readme(report: Report, plotted: bool) -> str:
    """For people: what was done, the tables, and every run that did not end well."""
    names = {shape.name: shape.describe() for shape in report.shapes}
    python = report.upstream_python
    parts = [
        f"# nanochat_np and karpathy/nanochat, {report.what}",
        f"`{report.invocation}`",
        f"{report.time_utc}, {report.environment['cpu']}, device {report.task.device}. Upstream is at commit "
        f"{report.upstream_commit[:12]} with PyTorch {python.get('torch')} ({python.get('threads')} threads). All ways "
        f"were taken in turn, in processes of their own, with the allocators as they come.",
        *(f"- {description}" for description in names.values()),
        _of_training(report) if report.what == "training" else _of_speed(report),
    ]
    if plotted:
        parts.append("![speed and losses](comparison.png)")
    bad = [record for record in report.runs if record.status != "ok"]
    if bad:
        parts.append("## Runs without a result")
        parts += [f"- {record.run.label}: {record.status}\n\n{_quoted(record.message)}" for record in bad]
    return "\n\n".join(parts) + "\n"


def _of_training(report: Report) -> str:
    head = (*_HEAD, "slowest to fastest", "ratio", "val bpb", "difference", *_FROM_OUTSIDE)
    rows: list[Cells] = []
    for each in report.comparisons:
        bpb = "" if each.bpb_percent is None else f"{each.bpb_percent:+.2f} %, {each.verdict}"
        rows.append((each.shape, f"{each.mode}, {each.dtype}", "ours", *_way(each.ours, _times(each.speed_ratio), bpb)))
        rows.append(("", "", "upstream", *_way(each.upstream, "", "")))
    return (
        f"Upstream's scripts.base_train and our pretrain on the same shards of {report.text}, the same token ids and "
        f"batches, {report.task.steps} steps, a warmup of {report.task.warmup_steps}, {report.task.eval_tokens:,} "
        f"tokens to validate on, each with its own initial values. Tokens/s are medians over steps "
        f"({report.uncounted} not counted), then over runs; the ratio is ours over upstream's. The verdict allows "
        f"{TOLERANCE:.0%} of bits per byte. A first step is counted from "
        f"the start of the process, with imports, compilation and the validation before it. Eager means that nothing "
        f"of upstream is compiled, its optimizer neither.\n\n{markdown_table(head, rows)}"
    )


def _way(way: Way, ratio: str, bpb: str) -> Cells:
    spread = "" if way.slowest is None else f"{way.slowest:,.0f} to {way.fastest:,.0f}"
    rate = way.problem if way.tokens_per_sec is None else f"{way.tokens_per_sec:,.0f}"
    others = (_shown(value, 0) for value in (way.process_mib, way.tree_mib))
    bits, first = _shown(way.val_bpb, 4), _shown(way.first_step_seconds, 1)
    return (str(way.runs), rate, spread, ratio, bits, bpb, first, *others)


def _of_speed(report: Report) -> str:
    head = (*_HEAD, "ratio", "forward and backward, tokens/s", "ratio", "optimizer, ms", "ratio")
    rows: list[Cells] = []
    for each in report.comparisons:
        ratios = [_times(ratio) for ratio in (each.speed_ratio, each.fwd_bwd_ratio, each.optimizer_ratio)]
        rows.append((each.shape, f"{each.mode}, {each.dtype}", "ours", *_parts(each.ours, ratios)))
        rows.append(("", "", "upstream", *_parts(each.upstream, ["", "", ""])))
    return (
        f"Whole training steps on random tokens, {report.task.steps} after two that are not counted, medians over "
        f"steps and then over runs. A ratio above 1 is ours being faster. Eager means that nothing of upstream is "
        f"compiled, its optimizer neither.\n\n{markdown_table(head, rows)}"
    )


def _parts(way: Way, ratios: list[str]) -> Cells:
    rate = way.problem if way.tokens_per_sec is None else f"{way.tokens_per_sec:,.0f}"
    fwd_bwd, optimizer = _shown(way.fwd_bwd_tokens_per_sec, 0), _shown(way.optimizer_ms, 1)
    return (str(way.runs), rate, ratios[0], fwd_bwd, ratios[1], optimizer, ratios[2])


def _times(ratio: float | None) -> str:
    return "" if ratio is None else f"{ratio:.2f}"


def _shown(value: float | None, digits: int) -> str:
    return "" if value is None else f"{value:,.{digits}f}"


def _quoted(text: str) -> str:
    return "\n".join(f"      {line}" for line in text.splitlines())


def plot(report: Report, path: Path) -> bool:
    """Bars of tokens/s, and the losses of the training runs.  False where there is no matplotlib or nothing to show."""
    well = [record for record in report.runs if record.figures is not None]
    try:
        from matplotlib.figure import Figure
    except ImportError:
        return False
    if not well:
        return False
    rows = 2 if report.what == "training" else 1
    figure = Figure(figsize=(6 * len(report.shapes), 4 * rows), layout="constrained")
    axes = figure.subplots(rows, len(report.shapes), squeeze=False)
    for column, shape in enumerate(report.shapes):
        ways = {record.run.way: record for record in well if record.run.shape == shape}
        bars, losses = axes[0][column], axes[-1][column]
        for number, (way, record) in enumerate(ways.items()):
            name, color = " ".join(way[1:]), f"C{number}"
            rates = [each.figures.tokens_per_sec for each in well if each.run.way == way and each.figures]
            bars.barh(number, sum(rates) / len(rates), color=color)
            bars.text(0, number, f" {name}", va="center")
            if rows == 2 and record.figures:
                losses.plot(_smooth(record.figures.losses), label=name, color=color, linewidth=1)
        bars.set(title=shape.describe(), xlabel="tokens/s", yticks=[])
        bars.title.set_fontsize("small")
        if rows == 2:
            losses.set(xlabel="step", ylabel="loss, nats a token (running mean)")
            if ways:
                losses.legend(fontsize="small")
    figure.savefig(path, dpi=120)
    return True


def _smooth(losses: list[float]) -> list[float]:
    """Running means with weights 0.9ᵏ, as upstream prints them."""
    total, means = 0.0, []
    for count, loss in enumerate(losses, start=1):
        total = _SMOOTHING * total + (1 - _SMOOTHING) * loss
        means.append(total / (1 - _SMOOTHING**count))
    return means
