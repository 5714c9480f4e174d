"""How much text there is: documents, characters, bytes, and how long the documents are."""

from bisect import bisect_left
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from itertools import accumulate

from nanochat_np.data.documents import DocumentFile

PERCENTILES = (1, 10, 25, 50, 75, 90, 99, 100)


@dataclass
class Counts:
    """Of some documents; ``lengths`` is how many have so many characters."""

    characters: int = 0
    bytes: int = 0
    lengths: Counter[int] = field(default_factory=Counter)

    @property
    def documents(self) -> int:
        return self.lengths.total()

    def add(self, texts: Iterable[str]) -> None:
        for text in texts:
            self.lengths[len(text)] += 1
            self.characters += len(text)
            self.bytes += len(text.encode())

    def include(self, other: "Counts") -> None:
        self.characters += other.characters
        self.bytes += other.bytes
        self.lengths += other.lengths

    def percentiles(self) -> dict[int, int]:
        """The characters that so many percent of the documents, rounded up, do not exceed; there is at least one."""
        lengths = sorted(self.lengths)
        seen = list(accumulate(self.lengths[length] for length in lengths))
        ranks = {percent: -(-percent * self.documents // 100) for percent in PERCENTILES}
        return {percent: lengths[bisect_left(seen, rank)] for percent, rank in ranks.items()}


def count(file: DocumentFile) -> Counts:
    """The counts of a whole file, read a group at a time.  Raises DataError for what cannot be read."""
    counts = Counts()
    for group in file.groups():
        counts.add(file.read(group))
    return counts
