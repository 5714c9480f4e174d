"""Plain text of any size, cut into documents."""

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from io import BytesIO
from itertools import accumulate
from pathlib import Path
from typing import BinaryIO

from nanochat_np.data.files import decoded, readable
from nanochat_np.data.records import RecordFile

SEPARATOR = b"<|endoftext|>"
PIECE_BYTES = 2000


class TextFiles(RecordFile):
    """UTF-8 files that are read one after another, as one file whose bytes are counted through.

    A line that is SEPARATOR ends a document and belongs to none. A longer document than ``piece_bytes`` is cut at
    line ends, a longer line after a space, a longer word between two characters; each piece is a document of its own.
    (Packing uses only the beginning of a document that is longer than a row: of a book in one piece, one row.)
    Pieces of white space are left out; all else is kept exactly, but for a byte-order mark. ``piece_bytes`` is at least
    the length of a SEPARATOR line.
    """

    def __init__(self, name: str, paths: Sequence[Path], piece_bytes: int = PIECE_BYTES) -> None:
        self.name = name
        self._paths = paths
        self._starts = list(accumulate((path.stat().st_size for path in paths), initial=0))
        self._piece_bytes = piece_bytes

    @property
    def size(self) -> int:
        return self._starts[-1]

    def _records(self, offset: int) -> Iterator[tuple[int, bytes]]:
        for number in range(self._number(offset), len(self._paths)):
            start = self._starts[number]
            with readable(self._paths[number]), open(self._paths[number], "rb") as file:
                file.seek(max(offset - start, 0))
                for place, piece in pieces(file, self._piece_bytes):
                    yield start + place, piece

    def _text(self, offset: int, record: bytes) -> str:
        number = self._number(offset)
        return decoded(self._paths[number], record, offset - self._starts[number])

    def _number(self, offset: int) -> int:
        """Which file the byte at ``offset`` is in (of files that are empty, none)."""
        return bisect_right(self._starts, offset) - 1


def cut(text: str, piece_bytes: int = PIECE_BYTES) -> list[str]:
    """The documents (see `TextFiles`) of a text in memory."""
    return [piece.decode() for _, piece in pieces(BytesIO(text.encode()), piece_bytes)]


def pieces(file: BinaryIO, piece_bytes: int = PIECE_BYTES) -> Iterator[tuple[int, bytes]]:
    """The documents (see `TextFiles`) from where ``file`` stands, each with the offset of its first byte.

    Where a piece ends depends only on where it began, so that reading may begin at any of them.
    """
    start, piece = file.tell(), b""
    for line in _lines(file, piece_bytes):
        separator = line.rstrip(b"\r\n") == SEPARATOR
        if separator or len(piece) + len(line) > piece_bytes:
            if piece.strip():
                yield start, piece
            start += len(piece) + len(line) * separator
            piece = b"" if separator else line
        else:
            piece += line
    if piece.strip():
        yield start, piece


def _lines(file: BinaryIO, longest: int) -> Iterator[bytes]:
    """Lines, those of more than ``longest`` bytes in parts."""
    while line := file.readline(longest):
        if len(line) == longest and not line.endswith(b"\n"):
            line = line[: line.rfind(b" ") + 1 or _last_character(line)]
            # Relative to the end of what was read, which the loop below this generator does not move.
            file.seek(len(line) - longest, 1)
        yield line


def _last_character(text: bytes) -> int:
    """Where the last character of UTF-8 ``text`` begins, which may be incomplete; its end, where there is none."""
    start = len(text) - 1
    while start > 0 and text[start] & 0xC0 == 0x80:
        start -= 1
    return start or len(text)
