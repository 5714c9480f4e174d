"""Which runs a folder means: a run and those that it began with, or the runs in the folder."""

import contextlib
from pathlib import Path
from typing import Any

import msgspec

from nanochat_np.errors import DataError

_ORDER = ("train", "pretrain", "midtrain", "sft", "rl")


def runs(folder: Path, problems: list[str]) -> list[Path]:
    """Folders of runs, the first stage first.

    Raises DataError where there are none.  A base that is not there ends the chain, which is told in ``problems``.
    """
    if is_run(folder):
        return _chain(folder, problems)
    try:
        found = [path for path in sorted(folder.iterdir()) if path.is_dir() and is_run(path)]
    except OSError as error:
        raise DataError(f"{folder}: cannot be read ({error.strerror}): name the folder of a run, or of runs") from None
    if not found:
        raise DataError(f"{folder}: holds no run, nor do its subfolders: name the folder of a run, or of runs")
    return sorted(found, key=lambda path: _ORDER.index(name) if (name := _begun(path)[0]) in _ORDER else len(_ORDER))


def is_run(folder: Path) -> bool:
    """Whether a run was begun there."""
    return any((folder / name).is_file() for name in ("config.json", "metrics.jsonl"))


def run_of(source: Path) -> Path:
    """The run of a checkpoint, of its ``checkpoints`` folder, or of itself."""
    if source.parent.name == "checkpoints":
        return source.parent.parent
    return source.parent if source.name == "checkpoints" else source


def _chain(folder: Path, problems: list[str]) -> list[Path]:
    chain = [folder]
    while (base := _begun(chain[0])[1]) is not None:
        named = run_of(Path(base).expanduser())
        beside = chain[0].resolve().parent / named.name  # where folders were moved together
        before = next((path for path in (named, beside) if is_run(path)), None)
        if before is None or before.resolve() in {path.resolve() for path in chain}:
            problems.append(f"{chain[0]}: its base {base} is no run that is there: what came before is left out")
            break
        chain.insert(0, before)
    return chain


def _begun(run: Path) -> tuple[str | None, str | None]:
    """Command and base of a run by its config.json or else its summary.json, as far as these can be read."""
    command = base = None
    for name in ("summary.json", "config.json"):
        with contextlib.suppress(OSError, msgspec.DecodeError, UnicodeDecodeError):
            said: Any = msgspec.json.decode((run / name).read_bytes(), type=dict[str, Any])
            command = _text(said.get("command")) or command
            settings = said.get("config", said)
            base = _text(settings.get("base") if isinstance(settings, dict) else None) or base
    return command, base


def _text(value: object) -> str | None:
    return value if isinstance(value, str) and value else None
