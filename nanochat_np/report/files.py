"""The files of a run as far as they can be read: what is damaged is named in a line, and the rest goes on."""

from pathlib import Path
from typing import Any, TypeVar

import msgspec
import numpy as np

T = TypeVar("T")
Event = dict[str, Any]


class Settings(msgspec.Struct, frozen=True):
    """What config.json and summary.json both say, each as far as the stage has it."""

    data: str | None = None
    base: str | None = None
    docs: str | None = None
    loss_on: str | None = None
    dtype: str | None = None
    optimizer: str | None = None
    seed: int | None = None
    batch_size: int | None = None
    block_size: int | None = None


class ConfigFile(msgspec.Struct, frozen=True):
    """What a report wants of config.json."""

    command: str
    command_line: list[str] = []
    config: Settings = Settings()


class EnvFile(msgspec.Struct, frozen=True):
    """What a report wants of env.json."""

    nanochat_np: str | None = None
    git_commit: str | None = None
    python: str | None = None
    platform: str | None = None
    numpy: str | None = None
    numba: str | None = None
    kernels: str | None = None
    blas: dict[str, Any] | None = None
    cpu: str | None = None
    device: str | None = None
    gpu: dict[str, Any] | None = None


class SummaryFile(Settings, frozen=True, kw_only=True):
    """What a report wants of summary.json."""

    command: str
    steps: int
    params: int | None = None
    tokens_per_step: float | None = None
    mean_loss_last_n: float | None = None
    val_loss: float | None = None
    val_bpb: float | None = None
    docs_bpb: float | None = None
    pass_at: dict[str, float] = {}
    tokens_per_sec: float | None = None
    mfu: float | None = None
    total_flops: float | None = None
    train_seconds: float = 0.0
    start_up_seconds: float = 0.0
    wall_seconds: float = 0.0
    peak_memory_mib: float | None = None
    samples: dict[str, str] = {}
    sample: str = ""


def read(path: Path, kind: type[T], problems: list[str]) -> T | None:
    """A JSON file, or None where it is not there or cannot be read; the latter is told in ``problems``."""
    try:
        return msgspec.json.decode(path.read_bytes(), type=kind)
    except FileNotFoundError:
        return None
    except OSError as error:
        problems.append(f"{path}: cannot be read ({error.strerror}), left out")
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        problems.append(f"{path}: damaged ({error}), left out")
    return None


def read_events(path: Path, problems: list[str]) -> list[Event]:
    """The lines of metrics.jsonl that can be read; of the others, how many there are and which is the first."""
    try:
        lines = path.read_bytes().splitlines()
    except FileNotFoundError:
        return []
    except OSError as error:
        problems.append(f"{path}: cannot be read ({error.strerror}), left out")
        return []
    events, damaged = [], []
    for number, line in enumerate(lines, 1):
        try:
            msgspec.json.decode(line, type=_Event)
            events.append(msgspec.json.decode(line))
        except (msgspec.DecodeError, UnicodeDecodeError):
            damaged.append(number)
    if damaged:
        more = f" and {len(damaged) - 1} more" if len(damaged) > 1 else ""
        problems.append(f"{path}: line {damaged[0]}{more} damaged, left out")
    return events


class _Event(msgspec.Struct):
    event: str
    step: int


def column(events: list[Event], event: str, field: str) -> tuple[np.ndarray, np.ndarray]:
    """Steps and values of a field of one kind of event, int64 and float64, NaN for what is no number."""
    found = [(each["step"], each[field]) for each in events if each["event"] == event and field in each]
    values = [value if isinstance(value, int | float) else np.nan for _, value in found]
    return np.array([step for step, _ in found], np.int64), np.array(values, np.float64)


def number(events: list[Event], event: str, field: str) -> float | None:
    """The last value of a field that is a number."""
    values = column(events, event, field)[1]
    values = values[np.isfinite(values)]
    return float(values[-1]) if len(values) else None


def fields(events: list[Event], prefix: str) -> list[str]:
    """Names of the fields that begin so, in the order in which they come."""
    return list(dict.fromkeys(name for event in events for name in event if name.startswith(prefix)))
