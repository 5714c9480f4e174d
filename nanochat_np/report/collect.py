"""From folders to a report."""

from datetime import UTC, datetime
from pathlib import Path

import msgspec

from nanochat_np.errors import DataError
from nanochat_np.report import chain, evaluations
from nanochat_np.report.environment import environment
from nanochat_np.report.files import ConfigFile, EnvFile, SummaryFile, read, read_events
from nanochat_np.report.metrics import metrics
from nanochat_np.report.record import Report, Stage, Totals
from nanochat_np.report.stage import stage

_NOT_COUNTED = (
    "preparing data and a tokenizer, but for what a speedrun says of it; runs that failed or were thrown away",
    "of a run that was resumed: start-up, evaluation and checkpoints of all parts but the last",
    "in FLOPs: validation, samples, benchmarks and what is computed twice to save memory",
)


class _Speedrun(msgspec.Struct):
    command: str = ""
    seconds: dict[str, float] = {}


def collect(folder: Path, out: Path, hourly: float | None) -> Report:
    """What is known of the run ``folder`` and those before it, or of the runs in it, at ``hourly`` dollars.

    ``out`` is where the page will be.  Raises DataError where nothing can be read.
    """
    problems: list[str] = []
    runs = chain.runs(folder, problems)
    stages: list[Stage] = []
    environments: dict[str, EnvFile] = {}
    for run in runs:
        config = read(run / "config.json", ConfigFile, problems)
        summary = read(run / "summary.json", SummaryFile, problems)
        events = read_events(run / "metrics.jsonl", problems)
        if config or summary or events:
            name = _name(run, [each.name for each in stages])
            stages.append(stage(name, run, config, summary, events, hourly))
            if env := read(run / "env.json", EnvFile, problems):
                environments[name] = env
    if not stages:
        raise DataError(f"{folder}: nothing in it can be read: {problems[0] if problems else 'its files are empty'}")
    beside = evaluations.find({run.resolve().parent for run in runs}, problems)
    results, used = evaluations.results(beside, stages, problems)
    besides = _besides(folder, {run.name for run in runs} | set(beside), problems)
    return Report(
        folder=str(folder),
        made=datetime.now(UTC).strftime("%Y-%m-%d %H:%M:%S UTC"),
        dollars_per_hour=hourly,
        environment=environment(environments),
        stages=stages,
        metrics=metrics(stages, results),
        totals=_totals(stages, besides | {name: beside[name].seconds for name in sorted(used)}, hourly),
        problems=problems,
        markdown=str(out / "report.md"),
        html=str(out / "report.html"),
    )


def _name(run: Path, taken: list[str]) -> str:
    """That of the folder, with a number where another stage has it."""
    first = run.resolve().name
    name, number = first, 2
    while name in taken:
        name, number = f"{first}-{number}", number + 1
    return name


def _besides(folder: Path, parts: set[str], problems: list[str]) -> dict[str, float]:
    """Seconds of what a speedrun did that is neither a stage nor an evaluation."""
    if chain.is_run(folder):
        return {}
    said = read(folder / "summary.json", _Speedrun, problems)
    if said is None or said.command != "speedrun":
        return {}
    return {name: seconds for name, seconds in said.seconds.items() if name not in parts}


def _totals(stages: list[Stage], besides: dict[str, float], hourly: float | None) -> Totals:
    seconds = {each.name: each.seconds for each in stages if each.seconds is not None} | besides
    unknown = [f"FLOPs of {each.name}, which are not known" for each in stages if each.flops is None]
    return Totals(
        seconds=seconds,
        tokens=sum(each.tokens or 0 for each in stages),
        flops=sum(each.flops or 0.0 for each in stages),
        cost_dollars=None if hourly is None else sum(seconds.values()) / 3600 * hourly,
        not_counted=[*unknown, *_NOT_COUNTED],
    )
