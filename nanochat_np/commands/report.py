"""``report``: one page on a run and those before it, or on all runs of a folder."""

from pathlib import Path

from nanochat_np.command_line.console import out, tell
from nanochat_np.config import ReportConfig
from nanochat_np.experiments.table import text_table
from nanochat_np.report import words
from nanochat_np.report.record import Report
from nanochat_np.report.write import write_report
from nanochat_np.train.locate import newest_run


def run(config: ReportConfig, given: frozenset[str]) -> Report:
    """Write the page; what could not be read is told, and is no error as long as there is something to show."""
    folder = Path(config.folder).expanduser() if config.folder else newest_run(Path("results"))
    found = write_report(folder, Path(config.out).expanduser() if config.out else folder, config.dollars_per_hour)
    if not config.quiet:
        for line in found.problems:
            tell(line)
    out(shown(found))
    return found


def shown(report: Report) -> str:
    """Metrics by stage and the totals, for a terminal; an asterisk is the best of a row."""
    names = [stage.name for stage in report.stages]
    rows = [
        [metric.name, *(words.score(metric, name) + (" *" if name in metric.best else "  ") for name in names)]
        for metric in report.metrics
    ]
    totals = report.totals
    told = [f"{words.count(totals.tokens)} tokens", f"{words.power(totals.flops or None)} FLOPs"]
    told.append(words.time(sum(totals.seconds.values())))
    if totals.cost_dollars is not None:
        told.append(words.dollars(totals.cost_dollars))
    table = [text_table(["metric", *(f"{name}  " for name in names)], rows), ""] if rows else []
    return "\n".join([*table, f"total   {', '.join(told)}", f"files   {report.html}", f"        {report.markdown}"])
