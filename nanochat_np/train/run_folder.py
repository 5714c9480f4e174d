"""The folder of a run: one at a time writes to it, and what it holds survives a kill."""

import contextlib
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from types import TracebackType
from typing import Any

import filelock
import msgspec

from nanochat_np.backend.files import remove_leftovers, replace_file, told_as
from nanochat_np.errors import CheckpointError, ConfigError, RunError
from nanochat_np.train.checkpoint import step_folders

SCHEMA = 1  # of config.json, metrics.jsonl and summary.json
LOCK = ".lock"


class _Version(msgspec.Struct):
    schema: int


class _Command(msgspec.Struct):
    command: str


class _Event(msgspec.Struct):
    event: str
    step: int


class RunFolder:
    """``config.json``, ``env.json``, ``metrics.jsonl``, ``summary.json`` and ``checkpoints/`` of one run.

    A context manager: while it is open no other process can open the same folder.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.checkpoints = path / "checkpoints"
        self.config_path = path / "config.json"
        self.listeners: list[Callable[[dict[str, Any]], None]] = []  # hear of every event of the log
        self._lock = filelock.FileLock(path / LOCK, blocking=False)
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
            for folder in (self.path, self.checkpoints):
                remove_leftovers(folder)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._metrics is not None:
            with contextlib.suppress(OSError):  # what could not be written has been told by `log`
                self._metrics.close()
        self._lock.release()

    def holds_run(self) -> bool:
        """Whether a run was begun here.  Raises ConfigError where the system does not let us look."""
        with told_as(ConfigError, f"--out {self.path}: cannot be read"):
            return self.config_path.exists() or bool(step_folders(self.checkpoints))

    def write_json(self, name: str, content: Any) -> None:
        """Write ``name`` whole, indented."""
        with told_as(RunError, f"cannot write {self.path / name}"):
            replace_file(self.path / name, msgspec.json.format(msgspec.json.encode(content)) + b"\n")

    def read_config(self) -> dict[str, Any] | None:
        """The content of config.json, or None where the folder holds no run.  Raises CheckpointError."""
        if not self.holds_run():
            return None
        with told_as(CheckpointError, f"cannot go on with {self.path}"):
            text = self.config_path.read_bytes()
        try:
            schema = msgspec.json.decode(text, type=_Version).schema
            content: dict[str, Any] = msgspec.json.decode(text)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise CheckpointError(f"{self.config_path}: damaged ({error})") from error
        if schema > SCHEMA:
            raise CheckpointError(f"{self.config_path}: of a newer program: update nanochat-np")
        return content

    def open_metrics(self, step: int) -> None:
        """Open metrics.jsonl to append to what led to the state after ``step``; what came later will come again."""
        path = self.path / "metrics.jsonl"
        with told_as(RunError, f"cannot write {path}"):
            if path.exists():
                kept = [line for line in path.read_bytes().splitlines(keepends=True) if _led_to(step, line)]
                replace_file(path, b"".join(kept))
            self._metrics = open(path, "ab")  # noqa: SIM115, closed by __exit__

    def log(self, events: Iterable[dict[str, Any]]) -> None:
        """Append a line an event and hand them to the system, so that a kill of this process loses none."""
        said = list(events)
        with told_as(RunError, f"cannot write {self.path / 'metrics.jsonl'}"):
            self._metrics.write(_ENCODER.encode_lines(said))
            self._metrics.flush()
        for listener in self.listeners:
            for event in said:
                listener(event)

    def values(self, event: str, field: str) -> list[Any]:
        """The values of a field of one kind of event, of all parts of a resumed run."""
        with told_as(RunError, f"cannot read {self.path / 'metrics.jsonl'}"):
            lines = (self.path / "metrics.jsonl").read_bytes().splitlines()
        return [found[field] for line in lines if (found := msgspec.json.decode(line))["event"] == event]


_ENCODER = msgspec.json.Encoder()


def _led_to(step: int, line: bytes) -> bool:
    """Whether an event of metrics.jsonl lies before the state after ``step``, which is saved and validated after it."""
    try:
        event = msgspec.json.decode(line, type=_Event)
    except (msgspec.DecodeError, UnicodeDecodeError):  # cut short by a kill or a full disk
        return False
    return line.endswith(b"\n") and (event.step < step or (event.step == step and event.event == "step"))


def new_path(name: str) -> Path:
    """Make and return results/NAME_TIME, with a number where that is taken: runs begun at once get a folder each."""
    first = Path("results") / f"{name}_{time.strftime('%Y%m%d-%H%M%S')}"
    path, number = first, 1
    while True:
        with told_as(ConfigError, f"{path}: cannot be made, choose another place with --out"):
            try:
                path.mkdir(parents=True)
                return path
            except FileExistsError:
                number += 1
                path = first.with_name(f"{first.name}-{number}")


def newest_begun(results: Path, command: str) -> Path | None:
    """The run of ``command`` under ``results`` that was begun, or gone on with, last.  None where there is none."""
    begun = [path for path in results.glob("*/config.json") if (path.parent / LOCK).exists()]
    begun.sort(key=lambda path: path.stat().st_mtime_ns, reverse=True)
    return next((path.parent for path in begun if _may_be_of(command, path)), None)


def _may_be_of(command: str, config: Path) -> bool:
    """Whether a config.json is of a command; one that cannot be read may be of any, and is not to be passed over."""
    try:
        return msgspec.json.decode(config.read_bytes(), type=_Command).command == command
    except (OSError, UnicodeDecodeError, msgspec.DecodeError):
        return True
