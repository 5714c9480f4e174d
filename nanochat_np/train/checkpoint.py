"""Checkpoints: folders that are whole or not there, checked before a byte of them is used.

    checkpoints/step_000200/model.safetensors   the parameters by name
                            state.safetensors   what training needs besides: optimizer moments, recent losses
                            meta.json           step, settings, tokenizer, size and sha256 of the two files
    checkpoints/latest                          the name of the newest complete one

Batches and schedule are functions of the step (`data.batches`, `optim.schedule`), so the step is their whole state.
"""

import hashlib
import os
import shutil
from pathlib import Path
from typing import Annotated

import msgspec
import numpy as np
import safetensors
import safetensors.numpy

from nanochat_np.backend.files import beside, replace_file, sha256_of, sync_folder, told_as, write_synced
from nanochat_np.config import Dtype
from nanochat_np.errors import CheckpointError
from nanochat_np.nn.model import ModelConfig, architecture

FORMAT = 1  # of this layout; a reader refuses what is newer than itself
MODEL, STATE, META, LATEST = "model.safetensors", "state.safetensors", "meta.json", "latest"
STATE_ARRAYS = ("m", "v", "recent_losses")
_TYPE_NAMES = {"float32": "F32", "float64": "F64"}  # of safetensors


class FileRecord(msgspec.Struct, frozen=True):
    """What a file must be, to be read."""

    bytes: int
    sha256: str


class Meta(msgspec.Struct, frozen=True, kw_only=True):
    """What meta.json says of a checkpoint."""

    step: int
    model: ModelConfig
    dtype: Dtype
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


class NewerFormat(CheckpointError):
    """A sound checkpoint that only a newer program can read: nothing to pass over or to replace."""


class _Version(msgspec.Struct):
    format: Annotated[int, msgspec.Meta(ge=1)]


class _MetaFile(_Version):
    """The content of meta.json; ``sha256`` is that of the text of ``meta``."""

    sha256: str
    meta: msgspec.Raw


def save(folder: Path, checkpoint: Checkpoint) -> Path:
    """Write ``checkpoint`` under ``folder`` (a run's ``checkpoints``) and return its own folder.

    A checkpoint of the same step makes way: training goes on from the newest sound one, so that one was damaged.
    Raises CheckpointError where writing fails (disk full, no permission); older checkpoints stay as they were.
    """
    target = folder / f"step_{checkpoint.meta.step:06d}"
    with told_as(CheckpointError, f"cannot save checkpoint {target}; older ones are untouched"):
        try:
            beside(target).mkdir(parents=True, exist_ok=True)
            files = {}
            for name, arrays in ((MODEL, checkpoint.weights), (STATE, checkpoint.state)):
                content = safetensors.numpy.save({key: np.ascontiguousarray(value) for key, value in arrays.items()})
                write_synced(beside(target) / name, content)
                files[name] = FileRecord(bytes=len(content), sha256=hashlib.sha256(content).hexdigest())
            meta = msgspec.structs.replace(checkpoint.meta, files=files)
            write_synced(beside(target) / META, _encoded(meta))
            sync_folder(beside(target))
            if target.exists():
                shutil.rmtree(target)
            os.replace(beside(target), target)
            sync_folder(folder)
            replace_file(folder / LATEST, target.name.encode() + b"\n")
        finally:
            shutil.rmtree(beside(target), ignore_errors=True)
    return target


def load(folder: Path) -> Checkpoint:
    """Read and verify the checkpoint in ``folder``.

    Sizes, hashes, shapes and types are compared before any array is made.  Raises CheckpointError that names the file
    and what is wrong with it.
    """
    meta = read_meta(folder)
    for name in (MODEL, STATE):
        _verify_file(folder / name, meta.files.get(name))
    with told_as(CheckpointError, f"cannot read checkpoint {folder}"):
        _verify_arrays(folder, meta)
        weights = safetensors.numpy.load_file(folder / MODEL)
        state = safetensors.numpy.load_file(folder / STATE)
    return Checkpoint(meta=meta, weights=weights, state=state)


def read_meta(folder: Path) -> Meta:
    """Only meta.json of a checkpoint, verified."""
    path = folder / META
    with told_as(CheckpointError, f"cannot read checkpoint {folder}"):
        if not folder.is_dir():
            raise CheckpointError(f"no checkpoint at {folder}: train one with python -m nanochat_np train")
        content = path.read_bytes()
    try:
        version = msgspec.json.decode(content, type=_Version).format
        if version > FORMAT:
            raise NewerFormat(f"{path}: format {version} is newer than this program's {FORMAT}: update nanochat-np")
        file = msgspec.json.decode(content, type=_MetaFile)
        if hashlib.sha256(file.meta).hexdigest() != file.sha256:
            raise CheckpointError(f"{path}: damaged, its sha256 is not the one that was written")
        return msgspec.json.decode(file.meta, type=Meta)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise CheckpointError(f"{path}: damaged ({error})") from error


def _encoded(meta: Meta) -> bytes:
    text = msgspec.json.format(msgspec.json.encode(meta))
    return msgspec.json.encode(_MetaFile(FORMAT, hashlib.sha256(text).hexdigest(), msgspec.Raw(text))) + b"\n"


def _verify_file(path: Path, record: FileRecord | None) -> None:
    if record is None:
        raise CheckpointError(f"{path.parent / META}: says nothing of {path.name}: the checkpoint is damaged")
    with told_as(CheckpointError, "damaged checkpoint"):
        size = path.stat().st_size
        if size != record.bytes:
            raise CheckpointError(f"{path}: damaged, {size} bytes where {record.bytes} were written")
        if sha256_of(path) != record.sha256:
            raise CheckpointError(f"{path}: damaged, its sha256 is not the one that was written")


def _verify_arrays(folder: Path, meta: Meta) -> None:
    """The weights are those of the model, by name, shape and type, and the state is complete."""
    try:
        shapes = architecture(meta.model.kind).shapes(meta.model)
    except KeyError:
        raise CheckpointError(f"{folder / META}: unknown model kind {meta.model.kind!r}") from None
    expected: dict[str, object] = {name: (shape, _TYPE_NAMES[meta.dtype]) for name, shape in shapes.items()}
    found = _arrays(folder / MODEL)
    for name in sorted(found.keys() | expected.keys()):
        if found.get(name) != expected.get(name):
            raise CheckpointError(
                f"{folder / MODEL}: {name} is {found.get(name, 'missing')}, "
                f"the model's settings say {expected.get(name, 'nothing of it')}"
            )
    missing = sorted(set(STATE_ARRAYS) - _arrays(folder / STATE).keys())
    if missing:
        raise CheckpointError(f"{folder / STATE}: {missing[0]} is missing")


def _arrays(path: Path) -> dict[str, object]:
    """Shape and type of each array in a file, of which only the head is read."""
    try:
        with safetensors.safe_open(path, "numpy") as file:
            slices = {name: file.get_slice(name) for name in file.keys()}  # noqa: SIM118, it is no dict
            return {name: (tuple(part.get_shape()), part.get_dtype()) for name, part in slices.items()}
    except safetensors.SafetensorError as error:
        raise CheckpointError(f"{path}: damaged ({error})") from error
