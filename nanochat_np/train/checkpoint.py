"""Checkpoints: folders that are whole or not there, checked before a byte of them is used.

    checkpoints/step_000200/model.safetensors   the parameters by name
                            state.safetensors   what training needs besides: optimizer moments, recent losses
                            meta.json           step, settings, tokenizer, size and sha256 of the two files
    checkpoints/latest                          the name of the newest complete one

Batches and schedule are functions of the step (`data.batches`, `optim.schedule`), so the step is their whole state.
"""

import contextlib
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import msgspec
import numpy as np
import safetensors
import safetensors.numpy

from nanochat_np.errors import CheckpointError
from nanochat_np.nn.model import ModelConfig, architecture
from nanochat_np.train.files import replace_file, sha256_of, sync_folder, told_as, write_synced

FORMAT = 1  # of this layout; a reader refuses what is newer than itself
MODEL, STATE, META = "model.safetensors", "state.safetensors", "meta.json"


class FileRecord(msgspec.Struct, frozen=True):
    """What a file must be, to be read."""

    bytes: int
    sha256: str


class Meta(msgspec.Struct, frozen=True, kw_only=True):
    """meta.json."""

    format: int = FORMAT
    step: int
    model: ModelConfig
    dtype: str
    style: str
    characters: str  # the tokenizer's vocabulary after BOS
    dataset_sha256: str
    train_seconds: float
    files: dict[str, FileRecord] = {}


class Checkpoint(msgspec.Struct, frozen=True):
    """A checkpoint in memory.  Arrays are NumPy's."""

    meta: Meta
    weights: dict[str, np.ndarray]
    state: dict[str, np.ndarray]


def save(folder: Path, checkpoint: Checkpoint) -> Path:
    """Write ``checkpoint`` under ``folder`` (a run's ``checkpoints``) and return its own folder.

    Raises CheckpointError where that fails (disk full, no permission); what was there before stays as it was.
    """
    target = folder / f"step_{checkpoint.meta.step:06d}"
    beside = folder / f".{target.name}.{os.getpid()}"
    with told_as(CheckpointError, f"cannot save checkpoint {target}; older ones are untouched"):
        try:
            beside.mkdir(parents=True)
            files = {}
            for name, arrays in ((MODEL, checkpoint.weights), (STATE, checkpoint.state)):
                content = safetensors.numpy.save({key: np.ascontiguousarray(value) for key, value in arrays.items()})
                write_synced(beside / name, content)
                files[name] = FileRecord(bytes=len(content), sha256=sha256_of(beside / name))
            meta = msgspec.structs.replace(checkpoint.meta, files=files)
            write_synced(beside / META, msgspec.json.format(msgspec.json.encode(meta)))
            sync_folder(beside)
            _put_in_place(beside, target)
            replace_file(folder / "latest", target.name.encode() + b"\n")
        finally:
            shutil.rmtree(beside, ignore_errors=True)
    return target


def _put_in_place(beside: Path, target: Path) -> None:
    """Rename; a damaged checkpoint of the same step, left by an earlier run, makes way first."""
    old = target.with_name(f".{target.name}.old")
    if target.exists():
        shutil.rmtree(old, ignore_errors=True)
        os.replace(target, old)
    os.replace(beside, target)
    sync_folder(target.parent)
    shutil.rmtree(old, ignore_errors=True)


def load(folder: Path) -> Checkpoint:
    """Read and verify the checkpoint in ``folder``.

    Sizes, hashes and shapes are compared before any array is made.  Raises CheckpointError that names what is wrong.
    """
    meta = read_meta(folder)
    for name in (MODEL, STATE):
        _verify_file(folder / name, meta.files.get(name))
    _verify_shapes(folder / MODEL, meta)
    with told_as(CheckpointError, f"cannot read checkpoint {folder}"):
        weights = safetensors.numpy.load_file(folder / MODEL)
        state = safetensors.numpy.load_file(folder / STATE)
    return Checkpoint(meta=meta, weights=weights, state=state)


def read_meta(folder: Path) -> Meta:
    """Only meta.json of a checkpoint, checked for its format."""

    class Version(msgspec.Struct):
        format: int

    if not folder.is_dir():
        raise CheckpointError(f"no checkpoint at {folder}: train one with python -m nanochat_np train")
    with told_as(CheckpointError, f"cannot read checkpoint {folder}"):
        content = (folder / META).read_bytes()
    try:
        version = msgspec.json.decode(content, type=Version).format
        if version > FORMAT:
            raise CheckpointError(
                f"{folder / META}: format {version} is newer than this program's {FORMAT}: update nanochat-np"
            )
        return msgspec.json.decode(content, type=Meta)
    except msgspec.DecodeError as error:
        raise CheckpointError(f"{folder / META}: damaged ({error})") from error


def _verify_file(path: Path, record: FileRecord | None) -> None:
    if record is None:
        raise CheckpointError(f"{path.parent / META}: says nothing of {path.name}: the checkpoint is damaged")
    with told_as(CheckpointError, "damaged checkpoint"):
        size = path.stat().st_size
        if size != record.bytes:
            raise CheckpointError(f"{path}: damaged, {size} bytes where {record.bytes} were written")
        if sha256_of(path) != record.sha256:
            raise CheckpointError(f"{path}: damaged, its sha256 is not the one that was written")


def _verify_shapes(path: Path, meta: Meta) -> None:
    try:
        expected = architecture(meta.model.kind).shapes(meta.model)
    except KeyError:
        raise CheckpointError(f"{path.parent / META}: unknown model kind {meta.model.kind!r}") from None
    with safetensors.safe_open(path, "numpy") as file:
        found = {name: tuple(file.get_slice(name).get_shape()) for name in file.keys()}  # noqa: SIM118, it is no dict
    if found != expected:
        wrong = sorted(name for name in found.keys() | expected.keys() if found.get(name) != expected.get(name))
        raise CheckpointError(
            f"{path}: {wrong[0]} is {found.get(wrong[0], 'missing')}, "
            f"the model's settings say {expected.get(wrong[0], 'nothing of it')}"
        )


def step_folders(folder: Path) -> list[Path]:
    """The checkpoints of a run, newest first."""
    return sorted(folder.glob("step_[0-9]*"), key=lambda path: int(path.name[5:]), reverse=True)


def load_newest(folder: Path, note: Callable[[str], None]) -> Checkpoint | None:
    """The newest sound checkpoint of a run, or None where there is none at all.

    A damaged one is named through ``note`` and passed over.  Raises CheckpointError where all are damaged.
    """
    folders = step_folders(folder)
    for path in folders:
        try:
            return load(path)
        except CheckpointError as error:
            note(f"passing over a checkpoint: {error}")
    if folders:
        raise CheckpointError(f"{folder}: none of its {len(folders)} checkpoints is sound: start anew in another --out")
    return None


def locate(path: Path) -> Path:
    """The checkpoint folder that a run folder, a ``checkpoints`` folder or a checkpoint folder means."""
    if (path / META).exists() or not path.is_dir():
        return path
    checkpoints = path / "checkpoints" if (path / "checkpoints").is_dir() else path
    with contextlib.suppress(OSError):
        return checkpoints / (checkpoints / "latest").read_text().strip()
    folders = step_folders(checkpoints)
    if not folders:
        raise CheckpointError(f"no checkpoint in {path}: train one with python -m nanochat_np train")
    return folders[0]


def newest_run(results: Path) -> Path:
    """The run under ``results`` whose checkpoint was written last.  Raises CheckpointError where there is none."""
    marks = list(results.glob("*/checkpoints/latest"))
    if not marks:
        raise CheckpointError(
            f"no trained model under {results}/: make one with python -m nanochat_np train, or name one with --checkpoint"
        )
    return max(marks, key=lambda mark: mark.stat().st_mtime_ns).parent.parent
