"""Which checkpoint: the newest sound one of a run, the one that a path means, the newest under ``results``."""

import contextlib
import shutil
from collections.abc import Callable
from pathlib import Path

from nanochat_np.backend.files import told_as
from nanochat_np.errors import CheckpointError
from nanochat_np.train import checkpoint
from nanochat_np.train.checkpoint import is_step, step_folders


def load_step(folder: Path, step: int) -> tuple[Path, checkpoint.Checkpoint]:
    """The checkpoint of a step of a run, and its folder; those that are newer are removed.

    Raises CheckpointError where there is none, or it is damaged; then nothing is removed.
    """
    there = {int(path.name.removeprefix("step_")): path for path in step_folders(folder)}
    if step not in there:
        steps = ", ".join(map(str, sorted(there))) or "none"
        raise CheckpointError(f"--resume-from-step {step}: no such checkpoint in {folder}, there are: {steps}")
    found = checkpoint.load(there[step])
    for newer in (path for number, path in there.items() if number > step):
        with told_as(CheckpointError, f"cannot remove {newer}"):
            shutil.rmtree(newer)
    return there[step], found


def load_newest(folder: Path, note: Callable[[str], None]) -> tuple[Path, checkpoint.Checkpoint] | None:
    """The newest sound checkpoint of a run and its folder, or None where there is none at all.

    A damaged one is named through ``note`` and passed over.  Raises CheckpointError where all are damaged, or where one
    is of a newer format: going on from an older one would overwrite it.
    """
    errors = []
    for path in step_folders(folder):
        try:
            return path, checkpoint.load(path)
        except checkpoint.NewerFormat:
            raise
        except CheckpointError as error:
            note(f"passing over a checkpoint: {error}")
            errors.append(error)
    if errors:
        raise CheckpointError(
            f"{folder}: no checkpoint of {len(errors)} is sound, start anew in another --out; the newest: {errors[0]}"
        )
    return None


def locate(path: Path) -> Path:
    """The checkpoint folder that a run folder, a ``checkpoints`` folder or a checkpoint folder means.

    Of several it is the one that ``latest`` names, or the newest where that names none.
    """
    with told_as(CheckpointError, f"cannot read checkpoint {path}"):
        if is_step(path) or (path / checkpoint.META).exists() or not path.is_dir():
            return path
        checkpoints = path / "checkpoints" if (path / "checkpoints").is_dir() else path
        folders = step_folders(checkpoints)
    if not folders:
        raise CheckpointError(f"no checkpoint in {path}: train one with python -m nanochat_np train")
    with contextlib.suppress(OSError, UnicodeDecodeError):
        named = checkpoints / (checkpoints / checkpoint.LATEST).read_text(encoding="utf-8").strip()
        if named in folders:
            return named
    return folders[0]


def newest_run(results: Path) -> Path:
    """The run under ``results``, or in a folder of runs there, whose checkpoint was written last.

    Raises CheckpointError where there is none.
    """
    candidates = (*results.glob("*/checkpoints"), *results.glob("*/*/checkpoints"))
    runs = [folder for folder in candidates if step_folders(folder)]
    if not runs:
        raise CheckpointError(
            f"no trained model under {results}/: "
            f"make one with python -m nanochat_np train, or name one with --checkpoint"
        )
    return max(runs, key=lambda folder: folder.stat().st_mtime_ns).parent
