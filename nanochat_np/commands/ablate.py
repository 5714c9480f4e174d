"""``ablate``: the four tie/norm variants over model kinds and seeds, each row kept as soon as it is there."""

import os
import time
from collections.abc import Sequence
from pathlib import Path

from nanochat_np.backend import environment
from nanochat_np.command_line.console import Progress, out, progress
from nanochat_np.config import AblateConfig, refuse_idle
from nanochat_np.errors import Interrupted, NanochatError, RunError
from nanochat_np.experiments.ablation import Cell, Failed, Row, check, grid, run_cells, run_name
from nanochat_np.experiments.ablation_files import AblationFiles, stem
from nanochat_np.experiments.ablation_report import markdown, report
from nanochat_np.experiments.ablation_summary import (
    AblationSummary,
    Baseline,
    count_baselines,
    ranking,
    variant_results,
)
from nanochat_np.experiments.curves import can_plot, plot_curves
from nanochat_np.experiments.invocation import invocation
from nanochat_np.train.interrupts import stop_at_once

_NAMED = 4  # failed runs that the last line names


class AblationInterrupted(Interrupted):
    """An ablation that was stopped; ``step`` counts the runs that are done."""

    def __init__(self, done: int, total: int, path: Path) -> None:
        self.step, self.path = done, path
        NanochatError.__init__(self, f"interrupted after {done} of {total} runs; what they gave is in {path}")


def run(config: AblateConfig, given: frozenset[str]) -> AblationSummary:
    """Run the grid.

    Raises RunError where runs failed and AblationInterrupted where it was stopped, after all files are written.
    """
    started = time.perf_counter()
    refuse_idle(config, given)
    files = AblationFiles(Path(config.out), stem(config))
    cells = grid(config, files.runs)
    with stop_at_once(), progress(len(cells), config.quiet) as shown:
        prepared = check(cells)
        with files:
            rows, failed, interrupted = _collect(cells, config.jobs, files, shown)
        counting = count_baselines(prepared.dataset)
        plot = _plot(files, rows, counting, shown)
    variants = variant_results(rows, counting)
    summary = AblationSummary(
        invocation=invocation("ablate", config),
        csv=str(files.csv),
        jsonl=str(files.jsonl),
        json=str(files.json),
        markdown=str(files.markdown),
        plot=plot,
        runs=str(files.runs),
        mode=config.mode,
        style=config.style,
        data=prepared.dataset.name,
        dataset_sha256=prepared.dataset.sha256,
        device=prepared.device.name,
        optimizer=config.optimizer,
        lr={cell.config.model_kind: cell.config.lr for cell in cells if cell.config.lr},
        steps=config.steps,
        batch_size=config.batch_size,
        seeds=config.seeds,
        jobs=config.jobs,
        baselines=counting,
        variants=variants,
        ranking=ranking(variants),
        rows=rows,
        failed=failed,
        interrupted=interrupted,
        wall_seconds=time.perf_counter() - started,
    )
    files.write_summary(summary, markdown(summary))
    out(report(summary))
    if interrupted:
        raise AblationInterrupted(len(rows), len(cells), files.markdown)
    if failed:
        raise RunError(_told(failed, len(cells), files.markdown))
    return summary


def _collect(
    cells: Sequence[Cell], jobs: int, files: AblationFiles, shown: Progress
) -> tuple[list[Row], list[Failed], bool]:
    """Run the cells; returns rows and failures in the order of the grid, and whether somebody stopped it."""
    results: dict[str, Row | Failed] = {}
    interrupted = False
    try:
        for cell, result in run_cells(cells, jobs, _threads()):
            results[cell.name] = result
            if isinstance(result, Row):
                files.append(result)
                shown.note(
                    f"{cell.name}: {result.val_bpb:.4f} bits per byte in {result.train_seconds:.1f} s of training"
                )
            else:
                shown.note(f"{cell.name}: failed: {result.error}")
            shown.update(len(results))
    except KeyboardInterrupt:
        interrupted = True
    in_order = [results[cell.name] for cell in cells if cell.name in results]
    rows = [result for result in in_order if isinstance(result, Row)]
    return rows, [result for result in in_order if isinstance(result, Failed)], interrupted


def _threads() -> int:
    """The budget of this process, which `backend.environment` has put here unless Numba was loaded before."""
    return int(os.environ.get("NUMBA_NUM_THREADS") or environment.available_cpus())


def _plot(files: AblationFiles, rows: list[Row], counting: dict[str, Baseline], shown: Progress) -> str | None:
    if not rows:
        return None
    if not can_plot():
        shown.note("no plot: Matplotlib is not installed: pip install 'nanochat-np[plot]'")
        return None
    try:
        plot_curves(files.plot, files.runs, rows, counting)
    except Exception as error:  # a broken Matplotlib must not cost the summary
        shown.note(f"no plot: {type(error).__name__}: {error}")
        return None
    return str(files.plot)


def _told(failed: list[Failed], total: int, path: Path) -> str:
    """One line that names what failed."""
    names = [run_name(each.model_kind, each.variant, each.seed) for each in failed]
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return (
        f"{len(failed)} of {total} runs failed: {', '.join(names[:_NAMED])}{more}; the first with: {failed[0].error}; "
        f"see {path}"
    )
