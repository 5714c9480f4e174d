"""``data prepare|download|stats``: text as shards, shards from the network, and what is in them."""

import contextlib
import time
from collections.abc import Iterator
from pathlib import Path

import msgspec

from nanochat_np.backend.new_folder import require_new
from nanochat_np.command_line.console import Progress, out, progress
from nanochat_np.command_line.failure import DISK_FULL
from nanochat_np.commands.actions import require_action
from nanochat_np.config import DataConfig
from nanochat_np.data.counting import PERCENTILES, Counts, count
from nanochat_np.data.documents import DocumentFile
from nanochat_np.data.download import download, plan
from nanochat_np.data.fetch import Patience
from nanochat_np.data.hosted import HOSTED
from nanochat_np.data.parquet import require_pyarrow
from nanochat_np.data.readers import document_files, location
from nanochat_np.data.shards import write_shards
from nanochat_np.data.split import read_split
from nanochat_np.errors import ConfigError, DataError
from nanochat_np.train.interrupts import stop_at_once

# What each action reads, besides the flags that all commands take.
FLAGS = {
    "prepare": {"data", "out", "text_field", "piece_bytes", "shard_characters", "val_fraction", "val_documents"},
    "download": {"data", "out", "shards", "workers"},
    "stats": {"data", "text_field", "piece_bytes"},
}


class Prepared(msgspec.Struct, frozen=True, kw_only=True):
    """Shards that were written; ``shards`` are those for training, of which there is one more for validation."""

    command: str = "data"
    schema: int = 1
    action: str = "prepare"
    data: str
    out: str
    shards: int
    train_documents: int
    train_characters: int
    val_documents: int
    val_characters: int
    seconds: float


class Downloaded(msgspec.Struct, frozen=True, kw_only=True):
    """``files`` are there, of which ``fetched`` were not before; ``validation`` names a shard, if they are shards."""

    command: str = "data"
    schema: int = 1
    action: str = "download"
    data: str
    out: str
    files: int
    fetched: int
    validation: str | None
    seconds: float


class FileStats(msgspec.Struct, frozen=True, kw_only=True):
    """Of a file or of all; ``length_percentiles`` are characters a document (100 is the longest)."""

    name: str
    documents: int
    characters: int
    bytes: int
    length_percentiles: dict[int, int]

    @classmethod
    def of(cls, name: str, counts: Counts) -> "FileStats":
        return cls(
            name=name,
            documents=counts.documents,
            characters=counts.characters,
            bytes=counts.bytes,
            length_percentiles=counts.percentiles(),
        )


class Stats(msgspec.Struct, frozen=True, kw_only=True):
    """What is in the data: all together, and file by file; ``validation`` is the file for it, where one is settled."""

    command: str = "data"
    schema: int = 1
    action: str = "stats"
    data: str
    validation: str | None
    total: FileStats
    files: list[FileStats]


def run(config: DataConfig, given: frozenset[str]) -> msgspec.Struct:
    """Do what ``action`` says.  Raises ConfigError for a flag that the action does not read."""
    action = require_action("data", config.action, given, FLAGS)
    if config.data is None:
        raise ConfigError(f"data {action} needs data: write data {action} NAME_OR_PATH")
    with stop_at_once():
        return {"prepare": _prepare, "download": _download, "stats": _stats}[action](config, config.data)


def _prepare(config: DataConfig, data: str) -> Prepared:
    started = time.perf_counter()
    if config.out is None:
        raise ConfigError("data prepare needs a folder for the shards: give --out")
    folder = Path(config.out)
    require_new(folder)
    require_pyarrow()
    files = document_files(data, config.text_field, config.piece_bytes)
    with progress(len(files), config.quiet) as shown, _writing(folder):
        written = write_shards(
            _documents(files, shown), folder, config.shard_characters, config.val_fraction, config.val_documents
        )
    summary = Prepared(data=data, out=str(folder), seconds=time.perf_counter() - started, **vars(written))
    out(
        f"train       {written.train_documents:,} documents, {written.train_characters:,} characters, "
        f"in shards: {written.shards:,}\n"
        f"validation  {written.val_documents:,} documents, {written.val_characters:,} characters\n"
        f"files       {folder}\n"
        f"next        python -m nanochat_np data stats {folder}"
    )
    return summary


def _documents(files: list[DocumentFile], shown: Progress) -> Iterator[str]:
    documents = 0
    for number, file in enumerate(files, start=1):
        for group in file.groups():
            texts = file.read(group)
            documents += len(texts)
            shown.update(number - 1, documents=documents)
            yield from texts
    shown.update(len(files), documents=documents)


def _download(config: DataConfig, data: str) -> Downloaded:
    started = time.perf_counter()
    wanted = plan(data, config.shards)
    if config.out is None and data not in HOSTED:
        raise ConfigError("data download of an address needs a folder for the files: give --out")
    folder = Path(config.out) if config.out else location(data)
    with progress(len(wanted.addresses), config.quiet) as shown, _writing(folder):
        fetched = download(wanted, folder, config.workers, Patience(), shown.update)
    summary = Downloaded(
        data=data,
        out=str(folder),
        files=len(wanted.addresses),
        fetched=fetched,
        validation=wanted.validation,
        seconds=time.perf_counter() - started,
    )
    out(
        f"{summary.files:,} files, of which {fetched:,} were fetched in {summary.seconds:.0f} s\n"
        f"files       {folder}\nvalidation  {wanted.validation or 'every 20th document'}"
    )
    return summary


@contextlib.contextmanager
def _writing(folder: Path) -> Iterator[None]:
    """Tell what the system does not let us write; of a full disk the command line knows to speak."""
    try:
        yield
    except OSError as error:
        if error.errno in DISK_FULL:
            raise
        raise ConfigError(f"--out {folder}: cannot be written: {error.strerror or error}") from error


def _stats(config: DataConfig, data: str) -> Stats:
    files = document_files(data, config.text_field, config.piece_bytes)
    total, of_files = Counts(), []
    with progress(len(files), config.quiet) as shown:
        for number, file in enumerate(files, start=1):
            counts = count(file)
            if not counts.documents:
                raise DataError(f"{file.name}: no documents: give more text")
            of_files.append(FileStats.of(file.name, counts))
            total.include(counts)
            shown.update(number, documents=total.documents)
    folder = location(data)
    validation = read_split(folder) if folder.is_dir() else None
    summary = Stats(data=data, validation=validation, total=FileStats.of("total", total), files=of_files)
    out(_table(summary))
    return summary


def _table(stats: Stats) -> str:
    """A line a file."""
    rows = [*stats.files, stats.total] if len(stats.files) > 1 else stats.files
    marks = {stats.validation: " (validation)"}
    names = [row.name + marks.get(row.name, "") for row in rows]
    width = max(map(len, ["file", *names]))
    shown = [p for p in PERCENTILES if p in (10, 50, 90, 100)]
    heads = "".join(f"{f'{p} %':>9}" for p in shown)
    lines = [f"{'file':{width}}{'documents':>14}{'characters':>18}{'bytes':>18}  characters a document, percentiles"]
    lines += [f"{'':{width + 50}}{heads}"]
    for name, row in zip(names, rows, strict=True):
        lengths = "".join(f"{row.length_percentiles[p]:>9,}" for p in shown)
        lines.append(f"{name:{width}}{row.documents:>14,}{row.characters:>18,}{row.bytes:>18,}{lengths}")
    return "\n".join(lines)
