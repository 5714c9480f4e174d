"""Batches of packed documents: what pretraining reads."""

from collections import defaultdict
from collections.abc import Generator, Iterator, Sequence
from typing import Any, NamedTuple, Protocol

import numpy as np
import numpy.typing as npt

from nanochat_np.data.documents import DocumentFile
from nanochat_np.data.packing import Document, Reference, Waiting, fill
from nanochat_np.data.position import Position
from nanochat_np.data.stream import Place, document_lists
from nanochat_np.errors import DataError

WAITING_DOCUMENTS = 1000
LIST_DOCUMENTS = 128


class Tokenizer(Protocol):
    """What the loader asks of a tokenizer; ``bos`` is the token that begins a document."""

    @property
    def bos(self) -> int: ...

    def encode_batch(self, texts: Sequence[str], /) -> Sequence[Sequence[int] | npt.NDArray[np.integer]]:
        """The tokens of each text, without ``bos``: those of a text do not depend on the others."""


class Batch(NamedTuple):
    """``inputs`` and ``targets``, (B, T) int32, fresh and contiguous; and the ``position`` after them."""

    inputs: npt.NDArray[np.int32]
    targets: npt.NDArray[np.int32]
    position: Position


def packed_batches(
    files: Sequence[DocumentFile],
    tokenizer: Tokenizer,
    batch_size: int,
    sequence_length: int,
    *,
    rank: int = 0,
    world_size: int = 1,
    state: dict[str, Any] | None = None,
    waiting_documents: int = WAITING_DOCUMENTS,
    list_documents: int = LIST_DOCUMENTS,
) -> Generator[Batch, None, None]:
    """Batches without end, of rows of sequence_length + 1 tokens in which each document begins with ``bos``.

    Before every placement there are at least ``waiting_documents`` to choose from, topped up by lists of
    ``list_documents`` (see `document_lists`, also for ``rank`` and ``world_size``). The longest that fits is placed
    whole, else the shortest is cropped to what is left of the row. Every position is a target, also that of ``bos``.
    Source: nanochat's loader of BOS-aligned best fit.

    With the ``state`` of a position, the batches that followed it follow again, the same. Raises DataError for data
    that cannot be read or is none, and what `Position.of` raises.
    """
    waiting: Waiting[Document] = Waiting()
    place: Place | None = None
    if state is not None:
        saved = Position.of(state, files, rank, world_size)
        place = saved.place
        texts = _read_again(files, saved.waiting)
        for document in _encoded(tokenizer, sequence_length + 1, saved.waiting, texts):
            waiting.add(document)
    lists = document_lists(files, rank, world_size, list_documents, after=place)

    def top_up() -> None:
        nonlocal place
        while len(waiting) < waiting_documents:
            place, texts = next(lists)
            references = [Reference(place.file, place.group, place.start + i) for i in range(len(texts))]
            for document in _encoded(tokenizer, sequence_length + 1, references, texts):
                waiting.add(document)

    while True:
        rows = np.empty((batch_size, sequence_length + 1), dtype=np.int32)
        fill(rows, waiting, top_up)
        assert place is not None
        yield Batch(
            rows[:, :-1].copy(), rows[:, 1:].copy(), Position(files, rank, world_size, place, waiting.references())
        )


def tokens_up_to(files: Sequence[DocumentFile], tokenizer: Tokenizer, most: int) -> int:
    """How many tokens the documents have, each with the one that begins it; ``most`` where they have more."""
    count = 0
    for file in files:
        for group in file.groups():
            count += sum(len(ids) + 1 for ids in tokenizer.encode_batch(file.read(group)))
            if count >= most:
                return most
    return count


def _encoded(
    tokenizer: Tokenizer, capacity: int, references: Sequence[Reference], texts: Sequence[str]
) -> Iterator[Document]:
    """The documents as tokens, of each those that a row of ``capacity`` may take."""
    for reference, ids in zip(references, tokenizer.encode_batch(texts), strict=True):
        tokens = np.empty(min(len(ids) + 1, capacity), dtype=np.int32)
        tokens[0], tokens[1:] = tokenizer.bos, ids[: capacity - 1]
        yield Document(reference, len(ids) + 1, tokens)


def _read_again(files: Sequence[DocumentFile], references: Sequence[Reference]) -> list[str]:
    """The texts of documents.  A group is read once, however many of them it has."""
    groups: dict[tuple[int, int], set[int]] = defaultdict(set)
    for reference in references:
        groups[reference.file, reference.group].add(reference.number)
    texts: dict[Reference, str] = {}
    for (file, group), numbers in groups.items():
        documents = files[file].read(group)
        if max(numbers) >= len(documents):
            raise DataError(f"{files[file].name}: has changed since the checkpoint was written: put the old file back")
        texts |= {Reference(file, group, number): documents[number] for number in numbers}
    return [texts[reference] for reference in references]
