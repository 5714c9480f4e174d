"""Files of records one after another, such as lines: a group is known by the offset of its first byte."""

from abc import ABC, abstractmethod
from collections.abc import Iterator

from nanochat_np.data.documents import GROUP_DOCUMENTS

GROUP_BYTES = 16 * 2**20  # bounds the memory for a group of long documents


class RecordFile(ABC):
    """A file whose records are read from any record on.

    A group ends after ``group_documents`` records, or with the record that completes GROUP_BYTES.
    """

    group_documents = GROUP_DOCUMENTS

    @abstractmethod
    def _records(self, offset: int) -> Iterator[tuple[int, bytes]]:
        """Each record from the one at ``offset`` on, with its own offset."""

    @abstractmethod
    def _text(self, offset: int, record: bytes) -> str:
        """The document of a record."""

    def groups(self, first: int = 0) -> Iterator[int]:
        """The offset of each group from the one at ``first`` on."""
        start, count = first, 0
        for offset, _ in self._records(first):
            if count and self._complete(count, offset - start):
                count = 0
            if not count:
                start = offset
                yield start
            count += 1

    def read(self, group: int) -> list[str]:
        """The documents of the group that begins at byte ``group``."""
        texts: list[str] = []
        for offset, record in self._records(group):
            if self._complete(len(texts), offset - group):
                break
            texts.append(self._text(offset, record))
        return texts

    def _complete(self, count: int, n_bytes: int) -> bool:
        return count == self.group_documents or n_bytes >= GROUP_BYTES
