"""Batches of packed conversations, with rows of packed documents among them."""

from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import msgspec
import numpy as np
import numpy.typing as npt

from nanochat_np.data.documents import DocumentFile
from nanochat_np.data.loader import Batch, packed_batches
from nanochat_np.data.packing import Waiting
from nanochat_np.data.position import Position
from nanochat_np.errors import CheckpointError, DataError
from nanochat_np.tasks.mixture import Mixture
from nanochat_np.text.bpe import BpeTokenizer
from nanochat_np.text.conversation import render_conversation

WAITING_CONVERSATIONS = 100
_PASSED_OVER = 1000  # conversations one after another in which nothing is learnt
Ints = npt.NDArray[np.int32]


class Talk(NamedTuple):
    """A conversation as tokens (length,), and which of them are learnt; ``reference`` is its source and number."""

    reference: tuple[int, int]
    tokens: Ints
    learnt: npt.NDArray[np.bool_]

    @property
    def length(self) -> int:
        return len(self.tokens)


class MixedBatch(NamedTuple):
    """``inputs`` and ``targets``, (B, T) int32, of which -1 is not learnt; and the ``position`` after them."""

    inputs: Ints
    targets: Ints
    position: "MixedPosition"


@dataclass(frozen=True)
class MixedPosition:
    """After a batch: rows made, conversations drawn of each source, which of them are waiting, and of the documents."""

    mixture: Mixture
    rows: int
    counts: tuple[int, ...]
    waiting: tuple[tuple[int, int], ...]
    documents: Position | dict[str, Any] | None

    @property
    def epoch(self) -> int:
        return self.mixture.epoch(self.counts)

    def state(self) -> dict[str, Any]:
        """Numbers, texts and lists, for JSON."""
        documents = self.documents.state() if isinstance(self.documents, Position) else self.documents
        state = _State(
            rows=self.rows,
            sources=[(source.name, source.length) for source in self.mixture.sources],
            counts=list(self.counts),
            waiting=list(self.waiting),
            documents=documents,
        )
        content: dict[str, Any] = msgspec.json.decode(msgspec.json.encode(state))
        return content


class _State(msgspec.Struct, kw_only=True):
    """A position as JSON has it."""

    rows: int
    sources: list[tuple[str, int]]
    counts: list[int]
    waiting: list[tuple[int, int]]
    documents: dict[str, Any] | None


def position_of(state: dict[str, Any], mixture: Mixture, files: Sequence[DocumentFile]) -> MixedPosition:
    """The position of a ``state``.  Raises CheckpointError for one that is damaged, DataError for data that changed."""
    try:
        saved = msgspec.convert(state, _State)
    except msgspec.ValidationError as error:
        raise CheckpointError(f"the position in the data is damaged ({error}): use an older checkpoint") from None
    if not len(saved.sources) == len(saved.counts) == len(mixture.sources):
        raise CheckpointError("the position in the data is of other sources: use an older checkpoint")
    for (name, length), source in zip(saved.sources, mixture.sources, strict=True):
        if (name, length) != (source.name, source.length):
            raise DataError(
                f"{source.name}: has {source.length} conversations to train on and had {length} when the checkpoint "
                f"was written: put the old file back, or start a new run"
            )
    if saved.documents is not None:
        Position.of(saved.documents, files, 0, 1)
    return MixedPosition(mixture, saved.rows, tuple(saved.counts), tuple(saved.waiting), saved.documents)


def mixed_batches(
    mixture: Mixture,
    files: Sequence[DocumentFile],
    tokenizer: BpeTokenizer,
    batch_size: int,
    sequence_length: int,
    *,
    documents_share: float,
    learn_all: bool,
    state: dict[str, Any] | None = None,
    waiting_conversations: int = WAITING_CONVERSATIONS,
) -> Generator[MixedBatch, None, None]:
    """Batches without end; of their rows, ``documents_share`` are packed documents of ``files``, evenly spread.

    The others are of sequence_length + 1 tokens in which each conversation begins with ``bos``.  Of those waiting, the
    longest that fits is placed; where none does, the rest of the row is padding.  None is cropped, but for what is
    longer than a row.  Learnt are the assistant's tokens (see `text.conversation`), or with ``learn_all`` all of a
    conversation; of documents everything is.  Source: nanochat's loader of best fit with padding.

    With the ``state`` of a position, the batches that followed it follow again, the same.  Raises DataError where
    nothing is learnt in any conversation, and what `position_of` raises.
    """
    start = (
        position_of(state, mixture, files)
        if state
        else MixedPosition(mixture, 0, (0,) * len(mixture.sources), (), None)
    )
    capacity = sequence_length + 1
    talks = _Talks(mixture, tokenizer, capacity, learn_all, start.counts)
    waiting: Waiting[Talk] = Waiting()
    for reference in start.waiting:
        waiting.add(talks.talk(*reference))
    saved = start.documents if isinstance(start.documents, dict) else None
    documents = packed_batches(files, tokenizer, 1, sequence_length, state=saved) if documents_share else None
    place: Position | dict[str, Any] | None = saved
    row = start.rows
    while True:
        inputs = np.empty((batch_size, sequence_length), np.int32)
        targets = np.empty((batch_size, sequence_length), np.int32)
        for i in range(batch_size):
            row += 1
            if documents and int(row * documents_share) > int((row - 1) * documents_share):
                batch: Batch = next(documents)
                inputs[i], targets[i], place = batch.inputs[0], batch.targets[0], batch.position
            else:
                _fill(inputs[i], targets[i], waiting, talks, waiting_conversations, tokenizer.bos)
        references = waiting.references()
        yield MixedBatch(inputs, targets, MixedPosition(mixture, row, tuple(talks.counts), references, place))


class _Talks(Iterator[Talk]):
    """The conversations of a mixture, one after another, rendered; ``counts`` are how many of each source came."""

    def __init__(
        self, mixture: Mixture, tokenizer: BpeTokenizer, capacity: int, learn_all: bool, counts: Sequence[int]
    ) -> None:
        self.counts = list(counts)
        self._mixture, self._tokenizer, self._capacity, self._all = mixture, tokenizer, capacity, learn_all

    def talk(self, source: int, number: int) -> Talk:
        conversation = self._mixture.sources[source].conversation(number)
        tokens, learnt = render_conversation(self._tokenizer, conversation, self._capacity)
        return Talk((source, number), tokens, np.ones_like(learnt) if self._all else learnt)

    def __next__(self) -> Talk:
        for _ in range(_PASSED_OVER):
            source = self._mixture.next(self.counts)
            found = self.talk(source, self.counts[source])
            self.counts[source] += 1
            if found.learnt.any():
                return found
        names = ", ".join(source.name for source in self._mixture.sources)
        raise DataError(f"{names}: no answer begins within {self._capacity} tokens: raise --max-seq-len")


def _fill(inputs: Ints, targets: Ints, waiting: Waiting[Talk], talks: _Talks, least: int, padding: int) -> None:
    """Make a row, of inputs (T,) and targets (T,)."""
    tokens, learnt = np.full(len(inputs) + 1, padding, np.int32), np.zeros(len(inputs) + 1, bool)
    used = 0
    while True:
        while len(waiting) < least:
            waiting.add(next(talks))
        talk = waiting.take_fitting(len(tokens) - used)
        if talk is None:
            break
        end = used + talk.length
        tokens[used:end], learnt[used:end] = talk.tokens, talk.learnt
        used = end
    inputs[:], targets[:] = tokens[:-1], np.where(learnt[1:], tokens[1:], -1)
