"""A report as Markdown."""

import re
from pathlib import Path

from nanochat_np.experiments.table import markdown_table
from nanochat_np.report import words
from nanochat_np.report.record import Chart, Report, Stage
from nanochat_np.report.words import plain

_HEADER = ("device", "GPU", "CPU", "nanochat_np", "commit")
_LOSSES = (
    "The training loss is the mean of the last steps, of all that is trained on; the validation loss is of what each "
    "stage names below."
)


def markdown(report: Report) -> str:
    """The page; its charts are files beside it, see `chart_name`."""
    stages = report.stages
    begun, ended = min(each.first_written for each in stages), max(each.last_written for each in stages)
    named = ", ".join(map(_titled, stages))
    parts = [
        f"# Report on {plain(Path(report.folder).resolve().name)}",
        f"{named}. Files written from {begun} to {ended}; this page {report.made}.",
        ". ".join(f"{what}: {_values(report.environment[what])}" for what in _HEADER if what in report.environment),
    ]
    if report.metrics:
        parts += ["## Metrics", metrics_table(report), "Bold is the best of a row. Of bits per byte less is better."]
    parts += ["## Figures", figures_table(report), _LOSSES]
    parts += ["Not in these figures:", _bullets(report.totals.not_counted)]
    for stage in stages:
        parts += _stage(stage)
    if report.environment:
        parts += ["## Environment", _environment(report)]
    if report.problems:
        parts += ["## Not as it should be", _bullets(report.problems)]
    return "\n\n".join(parts) + "\n"


def chart_name(stage: Stage, chart: Chart) -> str:
    """Of the file beside the page, without its ending; an id in HTML, too."""
    safe = re.sub(r"[^A-Za-z0-9_.-]", lambda letter: f"={ord(letter[0]):x}=", stage.name)
    return f"report-{safe}-{chart.name}"


def metrics_table(report: Report) -> str:
    """Metrics by stage."""
    rows = []
    for metric in report.metrics:
        cells = [
            f"**{words.score(metric, stage.name)}**" if stage.name in metric.best else words.score(metric, stage.name)
            for stage in report.stages
        ]
        unit = ", bits per byte" if metric.unit == "bits per byte" and "bits per byte" not in metric.name else ""
        rows.append([plain(metric.name) + unit, *cells])
    return markdown_table(["metric", *(plain(stage.name) for stage in report.stages)], rows)


def figures_table(report: Report) -> str:
    """What each stage took, and all together."""
    stages, totals = report.stages, report.totals
    besides = {name: seconds for name, seconds in totals.seconds.items() if name not in {each.name for each in stages}}
    hourly = report.dollars_per_hour
    costs = [seconds / 3600 * hourly for seconds in besides.values()] if hourly is not None else []
    none = [words.NONE] * len(besides)
    rows = [
        ["state", *(_state(each) for each in stages), *[""] * len(besides), ""],
        ["parameters", *(words.count(each.params) for each in stages), *none, ""],
        ["optimizer steps", *(words.count(each.steps) for each in stages), *none, ""],
        ["tokens", *(words.count(each.tokens) for each in stages), *none, words.count(totals.tokens)],
        ["FLOPs", *(words.power(each.flops) for each in stages), *none, words.power(totals.flops or None)],
        ["time in steps", *(words.time(each.train_seconds) for each in stages), *none, ""],
        [
            "time in all",
            *(words.time(each.seconds) for each in stages),
            *map(words.time, besides.values()),
            words.time(sum(totals.seconds.values())),
        ],
        ["tokens/s in steps", *(words.rate(each.tokens_per_sec) for each in stages), *none, ""],
        ["MFU", *(words.percent(each.mfu) for each in stages), *none, ""],
        ["peak memory", *(words.memory(each.peak_memory_mib) for each in stages), *none, ""],
        ["training loss, nats a token", *(words.nats(each.train_loss) for each in stages), *none, ""],
        ["validation loss, nats a token", *(words.nats(each.val_loss) for each in stages), *none, ""],
    ]
    if hourly is not None:
        costs_of_stages = [words.dollars(each.cost_dollars) for each in stages]
        total = words.dollars(totals.cost_dollars)
        rows.append([f"cost at ${hourly:g} an hour", *costs_of_stages, *map(words.dollars, costs), total])
    return markdown_table(["figure", *(plain(each.name) for each in stages), *map(plain, besides), "total"], rows)


def _titled(stage: Stage) -> str:
    return plain(stage.name) + (f" ({plain(stage.command)})" if stage.command != stage.name else "")


def _state(stage: Stage) -> str:
    if stage.stopped is not None:
        return f"stopped: {plain(stage.stopped)} not finite"
    return "ended" if stage.ended else "not ended"


def _stage(stage: Stage) -> list[str]:
    facts = [
        ("on", stage.data),
        ("with documents of", stage.docs),
        ("from", stage.base),
        ("optimizer", stage.optimizer),
        ("precision", stage.dtype),
        ("seed", stage.seed),
        ("validated on", stage.validation if stage.val_loss is not None else None),
        ("folder", stage.folder),
    ]
    parts = [f"## {_titled(stage)}"]
    parts.append("; ".join(f"{what} {plain(str(value))}" for what, value in facts if value is not None) + ".")
    for chart in stage.charts:
        parts.append(f"![{plain(chart.title)} of {plain(stage.name)}]({chart_name(stage, chart)}.svg)")
    if stage.command_line:
        parts.append(words.block(stage.command_line))
    if stage.samples:
        parts.append("### Samples")
    for prompt, text in stage.samples.items():
        parts += [f"After “{plain(prompt)}”:" if prompt else "After nothing:", words.block(text)]
    return parts


def _environment(report: Report) -> str:
    rows = [f"| {what} | {_values(values)} |" for what, values in report.environment.items()]
    return "\n".join(["| what | of the runs |", "| --- | --- |", *rows])


def _values(by_stage: dict[str, str]) -> str:
    """One value, or several with the stages that have each."""
    stages: dict[str, list[str]] = {}
    for stage, value in by_stage.items():
        stages.setdefault(value, []).append(stage)
    if len(stages) == 1:
        return plain(next(iter(stages)))
    return "; ".join(f"{plain(value)} ({plain(', '.join(names))})" for value, names in stages.items())


def _bullets(lines: list[str]) -> str:
    return "\n".join(f"- {plain(line)}" for line in lines)
