"""``bench lab``: the speed of the character lab on this machine, in a folder with what the figures depend on."""

import itertools
from pathlib import Path

import msgspec

from nanochat_np.backend.device import select_device
from nanochat_np.backend.files import replace_file, told_as
from nanochat_np.command_line.console import out, progress
from nanochat_np.config import BenchConfig
from nanochat_np.errors import ConfigError, RunError
from nanochat_np.experiments.bench_lab import PEER, LabFigures, measure
from nanochat_np.experiments.bench_report import readme, report
from nanochat_np.experiments.invocation import invocation
from nanochat_np.train.env_record import env_record
from nanochat_np.train.interrupts import stop_at_once
from nanochat_np.train.run_folder import RunFolder, new_path


class BenchSummary(msgspec.Struct, frozen=True, kw_only=True):
    """See `LabFigures`; ``peer`` says whose figures stand beside ours."""

    command: str = "bench"
    schema: int = 1
    invocation: str
    what: str
    device: str
    repeats: int
    peer: str
    figures: LabFigures
    out: str


def run(config: BenchConfig, given: frozenset[str]) -> BenchSummary:
    """Measure, print the tables, and write summary.json, env.json and README.md."""
    device = select_device(config.device)
    if config.out and RunFolder(Path(config.out)).holds_run():
        raise ConfigError(f"--out {config.out}: holds a training run: choose another folder")
    path = Path(config.out) if config.out else new_path("bench_lab")
    with stop_at_once(), RunFolder(path) as folder, progress(config.repeats, config.quiet) as shown:
        folder.write_json("env.json", env_record(device))
        shown.note("warming up; each of the rounds then takes some seconds")
        rounds = itertools.count(1)
        figures = measure(device, config.repeats, lambda: shown.update(next(rounds)))
        summary = BenchSummary(
            invocation=invocation("bench", config),
            what=config.what,
            device=device.name,
            repeats=config.repeats,
            peer=PEER,
            figures=figures,
            out=str(path),
        )
        folder.write_json("summary.json", summary)
        with told_as(RunError, "cannot write the result"):
            text = readme(figures, summary.invocation, config.repeats, device.name)
            replace_file(path / "README.md", text.encode())
    out(f"{report(figures)}\n\nfiles  {path}")
    return summary
