"""Files that are whole or not there: written beside their place, synced, renamed."""

import contextlib
import hashlib
import os
from collections.abc import Iterator
from pathlib import Path


def write_synced(path: Path, content: bytes) -> None:
    """Write a file and wait until it is on the disk."""
    with open(path, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def replace_file(path: Path, content: bytes) -> None:
    """Put ``content`` in the place of ``path`` at one stroke."""
    beside = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        write_synced(beside, content)
        os.replace(beside, path)
    except BaseException:
        with contextlib.suppress(OSError):
            beside.unlink(missing_ok=True)
        raise
    sync_folder(path.parent)


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
    """Turn an OSError into ``error`` with one line: what was being done, the path, the reason."""
    try:
        yield
    except OSError as cause:
        raise error(f"{doing}: {cause.strerror or cause} ({cause.filename})") from cause
