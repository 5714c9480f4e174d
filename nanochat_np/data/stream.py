"""The endless stream of documents that one process reads, in lists."""

from collections.abc import Iterator, Sequence
from itertools import islice
from typing import NamedTuple

from nanochat_np.data.documents import DocumentFile
from nanochat_np.errors import DataError


class Place(NamedTuple):
    """Where a list of documents stands: the epoch, from 1; number of the file; its group; the first document in it."""

    epoch: int
    file: int
    group: int
    start: int


def document_lists(
    files: Sequence[DocumentFile], rank: int, world_size: int, length: int, after: Place | None = None
) -> Iterator[tuple[Place, list[str]]]:
    """Lists of ``length`` documents or, at the end of a group, fewer: epoch after epoch, from the one ``after`` on.

    Of each file in turn, process ``rank`` of ``world_size`` reads the groups rank, rank + world_size, ...
    Raises DataError where that leaves it nothing.
    """
    epoch, first_file = (after.epoch, after.file) if after else (1, 0)
    while True:
        found = after is not None
        for number in range(first_file, len(files)):
            # The groups of this process are counted from its own: from the start of a file, or where it stopped.
            groups = (
                islice(files[number].groups(after.group), 0, None, world_size)
                if after
                else islice(files[number].groups(), rank, None, world_size)
            )
            for group in groups:
                texts = files[number].read(group)
                for start in range(after.start + length if after else 0, len(texts), length):
                    found = True
                    yield Place(epoch, number, group, start), texts[start : start + length]
                after = None
            after = None
        if not found:
            raise DataError(_nothing(files, rank, world_size))
        epoch, first_file = epoch + 1, 0


def _nothing(files: Sequence[DocumentFile], rank: int, world_size: int) -> str:
    names = ", ".join(file.name for file in files[:3]) + (", ..." if len(files) > 3 else "")
    if world_size == 1:
        return f"{names}: no documents: give more text"
    return f"{names}: no documents for process {rank} of {world_size}: give more text, or run fewer processes"
