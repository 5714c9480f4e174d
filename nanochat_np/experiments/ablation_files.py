"""The files of an ablation: rows are there as soon as their cells end, the rest when all have."""

import csv
import time
from pathlib import Path
from typing import Any

import msgspec

from nanochat_np.backend.files import replace_file, told_as
from nanochat_np.config import AblateConfig
from nanochat_np.errors import ConfigError, RunError
from nanochat_np.experiments.ablation import Row

_LONGEST = 100  # characters of seeds; most systems allow 255 for a name in all


def stem(config: AblateConfig) -> str:
    """Name that all files of an ablation share, and no two ablations."""
    seeds = "-".join(map(str, config.seeds))
    if len(seeds) > _LONGEST:
        seeds = f"{config.seeds[0]}-and-{len(config.seeds) - 1}-more"
    return f"ablate_style-{config.style}_seed-{seeds}_steps-{config.steps}_{time.time_ns()}"


class AblationFiles:
    """``STEM.csv .jsonl .json .md .png`` beside the folder ``STEM`` that holds the runs.  A context manager."""

    def __init__(self, out: Path, stem: str) -> None:
        self.runs = out / stem
        self.csv, self.jsonl, self.json, self.markdown, self.plot = (
            out / f"{stem}.{ending}" for ending in ("csv", "jsonl", "json", "md", "png")
        )
        self._streams: list[Any] = []

    def __enter__(self) -> "AblationFiles":
        """Raises ConfigError where the folder cannot be written."""
        with told_as(ConfigError, f"--out {self.runs.parent}: cannot be written"):
            self.runs.mkdir(parents=True)
            for path in (self.csv, self.jsonl):
                self._streams.append(open(path, "x", encoding="utf-8", newline=""))
        self._write(Row.__struct_fields__, "")
        return self

    def __exit__(self, *error: object) -> None:
        for stream in self._streams:
            stream.close()

    def append(self, row: Row) -> None:
        """Add a row: CSV with 6 decimals, JSON in full precision."""
        self._write([_text(value) for value in msgspec.structs.astuple(row)], msgspec.json.encode(row).decode() + "\n")

    def _write(self, cells: Any, line: str) -> None:
        with told_as(RunError, f"cannot write {self.csv}"):
            table, lines = self._streams
            csv.writer(table, lineterminator="\n").writerow(cells)
            lines.write(line)
            for stream in self._streams:
                stream.flush()

    def write_summary(self, summary: msgspec.Struct, markdown: str) -> None:
        """Write the summary as JSON and as Markdown."""
        with told_as(RunError, f"cannot write {self.json}"):
            replace_file(self.json, msgspec.json.format(msgspec.json.encode(summary)) + b"\n")
            replace_file(self.markdown, markdown.encode())


def _text(value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return f"{value:.6f}" if isinstance(value, float) else str(value)
