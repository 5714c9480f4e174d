"""Checkpoints: folders that are whole or not there, checked before a byte of them is used.

    checkpoints/step_000200/model.safetensors   the parameters by name
                            state.safetensors   the optimizer's moments
                            bpe.json            the tokenizer of a GPT
                            meta.json           step, settings, size and sha256 of the other files (`train.meta`)
    checkpoints/latest                          the name of the newest complete one

Random draws and schedules are functions of the step (`backend.random`, `optim.schedule`): it is their whole state.
"""

import contextlib
import hashlib
import os
import re
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated

import msgspec
import numpy as np
import safetensors

from nanochat_np.backend.files import beside, replace_file, sha256_of, sync_folder, told_as, write_synced
from nanochat_np.errors import CheckpointError
from nanochat_np.train.meta import AnyMeta, FileRecord
from nanochat_np.train.tensor_file import DTYPES, write_tensors

FORMAT = 2  # of this layout; a reader refuses what is newer than itself
MODEL, STATE, META, LATEST = "model.safetensors", "state.safetensors", "meta.json", "latest"


class Checkpoint(msgspec.Struct, frozen=True):
    """The content of a checkpoint.  Arrays are NumPy's; ``texts`` are further files by name."""

    meta: AnyMeta
    weights: Mapping[str, np.ndarray]
    state: Mapping[str, np.ndarray]
    texts: dict[str, bytes] = {}


class Tensors(Mapping[str, np.ndarray]):
    """The arrays of a file, each read when it is asked for: those of a large model need not be in memory twice."""

    def __init__(self, path: Path) -> None:
        self._file = safetensors.safe_open(path, "numpy")

    def __getitem__(self, name: str) -> np.ndarray:
        if name not in self:
            raise KeyError(name)
        array: np.ndarray = self._file.get_tensor(name)
        return array

    def __contains__(self, name: object) -> bool:
        return name in self._file.keys()  # noqa: SIM118, it is no dict

    def __iter__(self) -> Iterator[str]:
        return iter(self._file.keys())

    def __len__(self) -> int:
        return len(self._file.keys())


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
                files[name] = write_tensors(beside(target) / name, arrays)
            for name, content in checkpoint.texts.items():
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
    texts = sorted(meta.files.keys() - {MODEL, STATE})
    for name in (MODEL, STATE, *texts):
        _verify_file(folder / name, meta.files.get(name))
    with told_as(CheckpointError, f"cannot read checkpoint {folder}"):
        _verify_arrays(folder, meta)
        weights, state = Tensors(folder / MODEL), Tensors(folder / STATE)
        contents = {name: (folder / name).read_bytes() for name in texts}
    return Checkpoint(meta=meta, weights=weights, state=state, texts=contents)


def remove_older(folder: Path, keep: int) -> None:
    """Remove all but the newest ``keep`` (≥ 1) checkpoints of a run.  What cannot be removed stays."""
    for path in step_folders(folder)[keep:]:
        with contextlib.suppress(OSError):
            os.replace(path, beside(path))  # at one stroke: no name is left with half of its content
            shutil.rmtree(beside(path))


def step_folders(folder: Path) -> list[Path]:
    """The checkpoints of a run, newest first."""
    found = [path for path in folder.glob("step_*") if is_step(path) and path.is_dir()]
    return sorted(found, key=lambda path: int(path.name[5:]), reverse=True)


def is_step(path: Path) -> bool:
    """Whether a path has the name of a checkpoint."""
    return re.fullmatch("step_[0-9]+", path.name) is not None


def read_meta(folder: Path) -> AnyMeta:
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
        if version < FORMAT:
            raise CheckpointError(f"{path}: format {version} is of an older program, this one reads {FORMAT}")
        file = msgspec.json.decode(content, type=_MetaFile)
        if hashlib.sha256(file.meta).hexdigest() != file.sha256:
            raise CheckpointError(f"{path}: damaged, its sha256 is not the one that was written")
        meta: AnyMeta = msgspec.json.decode(file.meta, type=AnyMeta)
        return meta
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise CheckpointError(f"{path}: damaged ({error})") from error


def _encoded(meta: AnyMeta) -> bytes:
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


def _verify_arrays(folder: Path, meta: AnyMeta) -> None:
    """The weights are those of the model, by name, shape and type, and the state is complete."""
    try:
        shapes = meta.shapes()
    except KeyError as error:
        raise CheckpointError(f"{folder / META}: unknown model kind {error}") from None
    expected: dict[str, object] = {name: (shape, DTYPES[meta.dtype]) for name, shape in shapes.items()}
    found = _arrays(folder / MODEL)
    for name in sorted(found.keys() | expected.keys()):
        if found.get(name) != expected.get(name):
            raise CheckpointError(
                f"{folder / MODEL}: {name} is {found.get(name, 'missing')}, "
                f"the model's settings say {expected.get(name, 'nothing of it')}"
            )
    missing = sorted(meta.state_arrays - _arrays(folder / STATE).keys())
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
