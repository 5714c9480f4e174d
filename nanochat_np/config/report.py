"""One page on runs: report."""

from typing import Annotated

from msgspec import Meta

from nanochat_np.config.common import Common, Folder


class ReportConfig(Common, frozen=True, kw_only=True):
    """Write one page on a run and those it began with, or on a folder of runs: metrics, cost, curves, samples.

    Examples:
      python -m nanochat_np report results/sft
      python -m nanochat_np report results/speedrun --dollars-per-hour 0.4
      python -m nanochat_np report results/sft --out page --json
    """

    folder: Annotated[
        Folder | None,
        Meta(
            description="a run, or a folder that has runs in it (default: the newest run under results)",
            extra={"positional": True},
        ),
    ] = None
    out: Annotated[
        Folder | None, Meta(description="folder for report.md, report.html and charts (default: that of the runs)")
    ] = None
    dollars_per_hour: Annotated[
        Annotated[float, Meta(ge=0)] | None, Meta(description="price of the machine (default: no cost is told)")
    ] = None
