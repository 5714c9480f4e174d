"""The evaluations that lie beside runs, and what they say of each."""

from pathlib import Path

import msgspec

from nanochat_np.evaluate.result import Result
from nanochat_np.evaluate.summary import EvalSummary
from nanochat_np.report.chain import is_run, run_of
from nanochat_np.report.files import read
from nanochat_np.report.record import Stage

Results = dict[str, dict[str, Result]]  # by stage, then by benchmark


class _Command(msgspec.Struct):
    command: str = ""


def find(parents: set[Path], problems: list[str]) -> dict[str, EvalSummary]:
    """Summaries of the evaluations in the folders ``parents``, by the name of their folder, the oldest first."""
    paths = [path for parent in parents for path in parent.glob("*/summary.json") if not is_run(path.parent)]
    found: dict[str, EvalSummary] = {}
    for path in sorted(paths, key=lambda path: path.stat().st_mtime_ns):
        said = read(path, _Command, problems)
        if said is not None and said.command == "eval":
            summary = read(path, EvalSummary, problems)
            if summary is not None:
                found[path.parent.name] = summary
    return found


def results(evaluations: dict[str, EvalSummary], stages: list[Stage], problems: list[str]) -> tuple[Results, set[str]]:
    """What the newest evaluation says of each stage by benchmark, and the evaluations that say anything.

    An evaluation means a stage by its folder, or by the name of it where runs and evaluation were moved together.
    """
    found: Results = {stage.name: {} for stage in stages}
    used = set()
    for evaluation, summary in evaluations.items():
        for model in summary.models.values():
            stage = _meant(run_of(Path(model.source).expanduser()), stages)
            if stage is None:
                continue
            found[stage.name] |= model.results
            used.add(evaluation)
            if model.step != stage.steps:
                problems.append(
                    f"{evaluation}: has {stage.name} at step {model.step:,}, which is now at {stage.steps:,}"
                )
            problems += [
                f"{evaluation}: {stage.name}: {name}: {r.failed}" for name, r in model.results.items() if r.failed
            ]
    return found, used


def _meant(run: Path, stages: list[Stage]) -> Stage | None:
    by_path = (stage for stage in stages if Path(stage.folder).resolve() == run.resolve())
    by_name = (stage for stage in stages if Path(stage.folder).resolve().name == run.name and not is_run(run))
    return next(by_path, None) or next(by_name, None)
