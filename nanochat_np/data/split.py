"""What of the data is for training and what for validation: fixed by name, in the folder itself."""

import errno
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec

from nanochat_np.backend.files import whole_file
from nanochat_np.data.documents import DocumentFile, Portion
from nanochat_np.data.readers import document_files, location
from nanochat_np.data.text_files import PIECE_BYTES
from nanochat_np.errors import DataError

SPLIT_FILE = "split.json"
READ_ONLY = (errno.EACCES, errno.EPERM, errno.EROFS)


@dataclass(frozen=True)
class Split:
    """The files to train on, and those to validate on; neither is empty."""

    train: tuple[DocumentFile, ...]
    validation: tuple[DocumentFile, ...]


class _Record(msgspec.Struct):
    validation: str
    format: int = 1


def open_split(spec: str, field: str = "text", piece_bytes: int = PIECE_BYTES) -> Split:
    """The data that ``spec`` names (see `document_files`), in its two parts.

    Of a folder of shards (parquet or JSONL), the shard that SPLIT_FILE names is for validation, whatever shards come
    later. Where the folder has no such file, it is the last one by name, and SPLIT_FILE is written unless the folder
    is read-only. Of a single file, and of text, every 20th document is (see `Portion`).

    Raises DataError where there is nothing to train or to validate on, and what `document_files` raises.
    """
    files = document_files(spec, field, piece_bytes)
    folder = location(spec)
    if not folder.is_dir() or (len(files) == 1 and not (folder / SPLIT_FILE).exists()):
        return Split(tuple(Portion(file, False) for file in files), tuple(Portion(file, True) for file in files))
    name = read_split(folder) or _recorded(folder, files)
    train = tuple(file for file in files if file.name != name)
    validation = tuple(file for file in files if file.name == name)
    if not validation:
        raise DataError(f"{folder / name}: the validation shard is not there: download or prepare the data again")
    if not train:
        raise DataError(f"{folder}: has the validation shard {name} only: download or prepare others to train on")
    return Split(train, validation)


def read_split(folder: Path) -> str | None:
    """The name of the validation shard, or None where the folder does not say.  Raises DataError for a damaged file."""
    path = folder / SPLIT_FILE
    try:
        record = msgspec.json.decode(path.read_bytes(), type=_Record)
    except FileNotFoundError:
        return None
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise DataError(f"{path}: damaged ({error}): put {_example()} in it") from None
    if record.format != 1:
        raise DataError(f"{path}: of format {record.format}, which a newer version wrote: upgrade nanochat-np")
    return record.validation


def write_split(folder: Path, validation: str) -> None:
    """Fix the validation shard of a folder by its name."""
    with whole_file(folder / SPLIT_FILE) as file:
        file.write(msgspec.json.encode(_Record(validation)))


def _recorded(folder: Path, files: Sequence[DocumentFile]) -> str:
    last = files[-1].name
    try:
        write_split(folder, last)
    except OSError as error:
        if error.errno not in READ_ONLY:
            raise
    return last


def _example() -> str:
    return msgspec.json.encode(_Record("NAME")).decode()
