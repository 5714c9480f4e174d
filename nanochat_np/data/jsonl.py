"""JSON Lines: an object a line, one field of which is the document."""

from collections.abc import Iterator
from pathlib import Path

import msgspec

from nanochat_np.data.files import readable
from nanochat_np.data.records import RecordFile
from nanochat_np.errors import DataError


class JsonlFile(RecordFile):
    """A file of JSON objects, one a line, whose string ``field`` is the document.  Blank lines are passed over."""

    def __init__(self, path: Path, name: str, field: str = "text") -> None:
        self.path = path
        self.name = name
        self.size = path.stat().st_size
        self._decoder = msgspec.json.Decoder(msgspec.defstruct("Line", [("text", str)], rename={"text": field}))

    def _records(self, offset: int) -> Iterator[tuple[int, bytes]]:
        with readable(self.path), open(self.path, "rb") as file:
            file.seek(offset)
            for line in file:
                if line.strip():
                    yield offset, line
                offset += len(line)

    def _text(self, offset: int, record: bytes) -> str:
        line = record.removeprefix(b"\xef\xbb\xbf") if offset == 0 else record
        try:
            text: str = self._decoder.decode(line).text  # type: ignore[attr-defined]
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            reason = str(error).replace(" - at `$`", "")
            number = self._line_number(offset)
            raise DataError(
                f"{self.path}: line {number}: {reason}: mend or remove this line, or name another field"
            ) from None
        return text

    def _line_number(self, offset: int) -> int:
        """Counts from 1.  Only an error asks for it, so that no reader has to count."""
        with open(self.path, "rb") as file:
            number = 1
            while offset > 0 and (block := file.read(min(offset, 2**20))):
                number += block.count(b"\n")
                offset -= len(block)
        return number
