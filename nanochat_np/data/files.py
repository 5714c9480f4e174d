"""Reading a user's text: UTF-8, exactly as it is in the file."""

import contextlib
import os
import stat
from collections.abc import Iterator, Sequence
from pathlib import Path

from nanochat_np.errors import DataError

TEXT_SUFFIXES = (".txt", ".md", ".rst", ".py")


def read_path(path: Path) -> tuple[str, ...]:
    """The documents of a file (one) or of a folder (one a file, see ``read_folder``).

    Raises OSError for what the system does not let us read, DataError for what is no text.
    """
    mode = path.stat().st_mode
    if stat.S_ISDIR(mode):
        return read_folder(path)
    if not stat.S_ISREG(mode):
        raise DataError(f"{path}: is not a regular file: give a text file or a folder of them")
    text = read_text(path)
    if not text:
        raise DataError(f"{path}: is empty: give a file with text")
    return (text,)


def read_folder(folder: Path) -> tuple[str, ...]:
    """The texts of all files below ``folder`` that end in one of TEXT_SUFFIXES (in either case), sorted by path.

    Empty files are left out, and so is what is hidden: files and folders whose name begins with a dot. Links to
    folders are not followed. Raises DataError if that leaves nothing.
    """
    documents = tuple(text for text in map(read_text, files_below(folder, TEXT_SUFFIXES)) if text)
    if not documents:
        raise DataError(f"{folder}: no text in this folder: it needs a file that ends in {', '.join(TEXT_SUFFIXES)}")
    return documents


def read_text(path: Path) -> str:
    """The text of a UTF-8 file without its byte-order mark, if it has one; line ends stay as they are.

    Raises DataError for a NUL byte and for what is not UTF-8; byte offsets count from 0.
    """
    return decoded(path, path.read_bytes(), 0)


def decoded(path: Path, data: bytes, offset: int) -> str:
    """The text of the bytes from ``offset`` on of a file, as `read_text` has it; raises what it raises."""
    nul = data.find(b"\0")
    if nul >= 0:
        raise DataError(f"{path}: NUL at byte offset {offset + nul}: looks like a binary file: give UTF-8 text")
    try:
        text = data.decode()
    except UnicodeDecodeError as error:
        raise DataError(f"{path}: not UTF-8 at byte offset {offset + error.start}: convert the file to UTF-8") from None
    return text.removeprefix("\ufeff") if offset == 0 else text


@contextlib.contextmanager
def readable(path: Path) -> Iterator[None]:
    """Tell what the system does not let us read as a DataError."""
    try:
        yield
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror or error}") from None


def files_below(folder: Path, suffixes: Sequence[str]) -> list[Path]:
    """The files below ``folder`` that end in one of ``suffixes``, in either case and not hidden, sorted by path."""

    def stop(error: OSError) -> None:
        raise error

    found = []
    for parent, folders, names in os.walk(folder, onerror=stop):
        folders[:] = [name for name in folders if not name.startswith(".")]
        visible = [Path(parent, name) for name in names if not name.startswith(".")]
        found += [path for path in visible if path.suffix.lower() in suffixes and path.is_file()]
    return sorted(found, key=lambda path: path.parts)
