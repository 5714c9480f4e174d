"""Files that are whole or not there: written beside their place, synced, renamed."""

import contextlib
import hashlib
import os
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

_OURS = re.compile(r"\.(config\.json|env\.json|metrics\.jsonl|summary\.json|latest|step_\d+)\.\d+\.tmp")


def beside(path: Path) -> Path:
    """Where this process writes what will become ``path``."""
    return path.with_name(f".{path.name}.{os.getpid()}.tmp")


def remove_leftovers(folder: Path) -> None:
    """Remove what processes that were killed have left `beside` the files of a run, and nothing of anybody else's."""
    for path in folder.glob(".*.tmp"):
        if _OURS.fullmatch(path.name) is None:
            continue
        if path.is_dir():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)


def write_synced(path: Path, content: bytes) -> None:
    """Write a file and wait until it is on the disk."""
    with open(path, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


@contextlib.contextmanager
def whole_file(path: Path) -> Iterator[BinaryIO]:
    """A file to write, which becomes ``path`` when all is written and on the disk, and vanishes where that fails."""
    try:
        with open(beside(path), "wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.replace(beside(path), path)
    except BaseException:
        with contextlib.suppress(OSError):
            beside(path).unlink(missing_ok=True)
        raise
    sync_folder(path.parent)


def replace_file(path: Path, content: bytes) -> None:
    """Put ``content`` in the place of ``path`` at one stroke."""
    with whole_file(path) as file:
        file.write(content)


def sync_folder(folder: Path) -> None:
    """Make the names in a folder as durable as the files are (POSIX; elsewhere there is nothing to do)."""
    if os.name != "posix":
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def sha256_of(path: Path) -> str:
    """Hexadecimal SHA-256 of a file, read in pieces."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@contextlib.contextmanager
def told_as(error: type[Exception], doing: str) -> Iterator[None]:
    """Turn an OSError into ``error`` with one line: what was being done, the reason, and the path where it is known."""
    try:
        yield
    except OSError as cause:
        where = f" ({os.fsdecode(cause.filename)})" if isinstance(cause.filename, str | bytes) else ""
        raise error(f"{doing}: {cause.strerror or cause}{where}") from cause
