"""The folder of a run: one at a time writes to it, and what it holds survives a kill."""

import time
from collections.abc import Iterable
from pathlib import Path
from types import TracebackType
from typing import Any

import filelock
import msgspec

from nanochat_np.errors import CheckpointError, ConfigError, RunError
from nanochat_np.train.files import replace_file, told_as

SCHEMA = 1  # of config.json, metrics.jsonl and summary.json


class RunFolder:
    """``config.json``, ``env.json``, ``metrics.jsonl``, ``summary.json`` and ``checkpoints/`` of one run.

    A context manager: while it is open no other process can open the same folder.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.checkpoints = path / "checkpoints"
        self._lock = filelock.FileLock(path / ".lock", blocking=False)
        self._metrics: Any = None

    def __enter__(self) -> "RunFolder":
        with told_as(ConfigError, f"--out {self.path}: cannot be written"):
            self.path.mkdir(parents=True, exist_ok=True)
            try:
                self._lock.acquire()
            except filelock.Timeout:
                raise ConfigError(
                    f"--out {self.path}: another process is training there: wait for it, or choose another folder"
                ) from None
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._metrics is not None:
            self._metrics.close()
        self._lock.release()

    @property
    def config_path(self) -> Path:
        return self.path / "config.json"

    def write_json(self, name: str, content: Any) -> None:
        """Write ``name`` whole, indented."""
        with told_as(RunError, f"cannot write {self.path / name}"):
            replace_file(self.path / name, msgspec.json.format(msgspec.json.encode(content)) + b"\n")

    def read_config(self) -> dict[str, Any] | None:
        """The settings of the run that the folder holds, or None where it holds none.  Raises CheckpointError."""
        if not self.config_path.exists():
            return None
        try:
            content: dict[str, Any] = msgspec.json.decode(self.config_path.read_bytes(), type=dict)
        except (OSError, msgspec.DecodeError) as error:
            raise CheckpointError(f"{self.config_path}: damaged ({error})") from error
        if content.get("schema", 0) > SCHEMA:
            raise CheckpointError(f"{self.config_path}: of a newer program: update nanochat-np")
        return content

    def open_metrics(self, up_to_step: int) -> None:
        """Open metrics.jsonl to append, dropping events past ``up_to_step``: those steps will be taken again."""
        path = self.path / "metrics.jsonl"
        with told_as(RunError, f"cannot write {path}"):
            if path.exists():
                kept = [line for line in path.read_bytes().splitlines(keepends=True) if _step_of(line) <= up_to_step]
                replace_file(path, b"".join(kept))
            self._metrics = open(path, "ab")  # noqa: SIM115, closed by __exit__

    def log(self, events: Iterable[dict[str, Any]]) -> None:
        """Append a line an event and hand them to the system, so that a kill of this process loses none."""
        with told_as(RunError, f"cannot write {self.path / 'metrics.jsonl'}"):
            self._metrics.write(_ENCODER.encode_lines(list(events)))
            self._metrics.flush()


_ENCODER = msgspec.json.Encoder()


def _step_of(line: bytes) -> float:
    """Step of an event; a line cut short by a kill counts as past every step."""
    try:
        step: float = msgspec.json.decode(line)["step"]
    except (msgspec.DecodeError, KeyError, TypeError):
        return float("inf")
    return step


def default_path(name: str) -> Path:
    """results/NAME_TIME, with a number where that is taken."""
    stamp = time.strftime("%Y%m%d-%H%M%S")
    path, number = Path("results") / f"{name}_{stamp}", 1
    while path.exists():
        number += 1
        path = Path("results") / f"{name}_{stamp}-{number}"
    return path
