"""Documents in groups: what every source of text looks like to those that read it."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

GROUP_DOCUMENTS = 1024
VALIDATION_STRIDE = 20


class DocumentFile(Protocol):
    """A file, or what is like one, of documents that are read a group at a time.

    A group is known by a number that grows along the file; the numbers need not follow each other.
    """

    @property
    def name(self) -> str:
        """Distinguishes it among the files that are read together, and tells the user which it is."""

    @property
    def size(self) -> int:
        """Bytes; another size means other content."""

    def groups(self, first: int = 0) -> Iterator[int]:
        """The groups from ``first`` on, which is 0 or a group, to the end.  Raises DataError for a damaged file."""

    def read(self, group: int) -> list[str]:
        """The documents of a group, in order.  Raises DataError for what cannot be read."""


@dataclass(frozen=True)
class Memory:
    """Texts that are in memory, in groups of ``group_documents``."""

    name: str
    texts: Sequence[str]
    group_documents: int = GROUP_DOCUMENTS

    @property
    def size(self) -> int:
        return sum(len(text.encode()) for text in self.texts)

    def groups(self, first: int = 0) -> Iterator[int]:
        return iter(range(first, -(-len(self.texts) // self.group_documents)))

    def read(self, group: int) -> list[str]:
        start = group * self.group_documents
        return list(self.texts[start : start + self.group_documents])


@dataclass(frozen=True)
class Portion:
    """The validation or the training documents of a file that holds both.

    The first document of each group and every VALIDATION_STRIDE-th after it are for validation: a rule that needs no
    count of the documents beforehand.
    """

    file: DocumentFile
    validation: bool

    @property
    def name(self) -> str:
        return self.file.name

    @property
    def size(self) -> int:
        return self.file.size

    def groups(self, first: int = 0) -> Iterator[int]:
        return self.file.groups(first)

    def read(self, group: int) -> list[str]:
        texts = enumerate(self.file.read(group))
        return [text for i, text in texts if (i % VALIDATION_STRIDE == 0) == self.validation]
