"""``bench lab``: the speed of every part of the character lab."""

import itertools

import msgspec

from nanochat_np.backend.device import select_device
from nanochat_np.command_line.console import out, progress
from nanochat_np.commands.bench_folder import bench_folder, invoked
from nanochat_np.config import BenchConfig
from nanochat_np.experiments.bench_lab import PEER, LabFigures, measure
from nanochat_np.experiments.bench_report import readme, report


class LabSummary(msgspec.Struct, frozen=True, kw_only=True):
    """See `LabFigures`; ``peer`` says whose figures stand beside ours."""

    command: str = "bench"
    schema: int = 1
    action: str = "lab"
    invocation: str
    device: str
    repeats: int
    peer: str = PEER
    figures: LabFigures
    out: str


def run(config: BenchConfig) -> LabSummary:
    """Measure, print the tables, and write them."""
    device = select_device(config.device)
    with bench_folder(config, device) as folder, progress(config.repeats, config.quiet) as shown:
        shown.note("warming up; each of the rounds then takes some seconds")
        rounds = itertools.count(1)
        figures = measure(device, config.repeats, lambda: shown.update(next(rounds)))
        summary = LabSummary(
            invocation=invoked(config),
            device=device.name,
            repeats=config.repeats,
            figures=figures,
            out=str(folder.path),
        )
        folder.write(summary, readme(figures, summary.invocation, config.repeats, device.name))
    out(f"{report(figures)}\n\nfiles  {folder.path}")
    return summary
