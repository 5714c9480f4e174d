"""The files of a report: report.md, report.html, and a chart a file beside them."""

from pathlib import Path

from nanochat_np.backend.files import replace_file, told_as
from nanochat_np.errors import ConfigError
from nanochat_np.report import page, web
from nanochat_np.report.collect import collect
from nanochat_np.report.record import Report
from nanochat_np.report.svg import svg


def write_report(folder: Path, out: Path, hourly: float | None) -> Report:
    """Collect what is known of ``folder``, see `collect`, and write it to ``out``.

    Raises DataError where nothing can be read, ConfigError where the files cannot be written.
    """
    report = collect(folder, out, hourly)
    charts = {
        f"{page.chart_name(stage, chart)}.svg": svg(chart, page.chart_name(stage, chart), stage.name)
        for stage in report.stages
        for chart in stage.charts
    }
    markdown = page.markdown(report)
    files = charts | {
        "report.md": markdown,
        "report.html": web.page(markdown, f"Report on {folder.resolve().name}", charts),
    }
    with told_as(ConfigError, f"--out {out}: cannot be written"):
        out.mkdir(parents=True, exist_ok=True)
        for name, text in files.items():
            replace_file(out / name, text.encode())
    return report
