"""Documents as shards: parquet files of about so many characters, and one for validation."""

import os
import shutil
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

from nanochat_np.backend.files import whole_file
from nanochat_np.data.documents import GROUP_DOCUMENTS
from nanochat_np.data.parquet import parquet_writer
from nanochat_np.data.split import write_split
from nanochat_np.errors import DataError

VALIDATION = "validation.parquet"


@dataclass(frozen=True)
class Written:
    """What `write_shards` has written; ``shards`` are those for training."""

    shards: int
    train_documents: int
    train_characters: int
    val_documents: int
    val_characters: int


def write_shards(
    documents: Iterable[str],
    folder: Path,
    shard_characters: int,
    val_fraction: float,
    val_documents: int,
    group_documents: int = GROUP_DOCUMENTS,
) -> Written:
    """Write shard_00000.parquet, ... and VALIDATION into a new ``folder``, with the file that says which is which.

    A training shard ends with the row group of ``group_documents`` that brings it to ``shard_characters``. The first
    document is for validation, and others at even distances, a share of ``val_fraction`` until they are
    ``val_documents``. The folder is whole or not there. Raises DataError unless there are documents for both parts.
    """
    shards: list[_Shard] = []
    with _whole_folder(folder) as beside:
        with _shard(beside / VALIDATION, group_documents) as validation:
            train = _train(documents, validation, val_fraction, val_documents)
            while (first := next(train, None)) is not None:
                with _shard(beside / f"shard_{len(shards):05}.parquet", group_documents) as shard:
                    shards.append(shard)
                    for text in chain([first], train):
                        shard.add(text)
                        if shard.characters >= shard_characters and not shard.waiting:
                            break
        if not shards:
            raise DataError(
                f"{validation.documents} documents: one is needed to train on and one to validate on: give more text, "
                f"or a smaller --val-fraction"
            )
        write_split(beside, VALIDATION)
    return Written(
        shards=len(shards),
        train_documents=sum(shard.documents for shard in shards),
        train_characters=sum(shard.characters for shard in shards),
        val_documents=validation.documents,
        val_characters=validation.characters,
    )


def _train(documents: Iterable[str], validation: "_Shard", fraction: float, most: int) -> Iterator[str]:
    """The documents for training, while those for validation go into their shard."""
    for seen, text in enumerate(documents, start=1):
        if validation.documents < min(seen * fraction, most):
            validation.add(text)
        else:
            yield text


class _Shard:
    """A shard that is being written; ``waiting`` are the documents of the row group that is not full."""

    def __init__(self, write: Callable[[list[str]], None], group_documents: int) -> None:
        self.documents = self.characters = 0
        self.waiting: list[str] = []
        self._write = write
        self._group_documents = group_documents

    def add(self, text: str) -> None:
        self.documents += 1
        self.characters += len(text)
        self.waiting.append(text)
        if len(self.waiting) == self._group_documents:
            self.write_waiting()

    def write_waiting(self) -> None:
        self._write(self.waiting)
        self.waiting = []


@contextmanager
def _shard(path: Path, group_documents: int) -> Iterator[_Shard]:
    with whole_file(path) as file, parquet_writer(file) as write:
        shard = _Shard(write, group_documents)
        yield shard
        if shard.waiting:
            shard.write_waiting()


@contextmanager
def _whole_folder(folder: Path) -> Iterator[Path]:
    """A folder to write into, which becomes ``folder`` when all is written, and vanishes where that fails."""
    beside = folder.with_name(f".{folder.name}.{os.getpid()}.tmp")
    beside.mkdir(parents=True)
    try:
        yield beside
        os.replace(beside, folder)  # over an empty folder, too
    except BaseException:
        shutil.rmtree(beside, ignore_errors=True)
        raise
