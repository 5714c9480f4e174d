"""Conversations of several sources, each with its share, as one endless list."""

import difflib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple, Protocol
from zlib import crc32

import numpy as np

from nanochat_np.backend.random import stream
from nanochat_np.data.conversations import read_conversations
from nanochat_np.errors import ConfigError, DataError
from nanochat_np.tasks import generated
from nanochat_np.tasks.item import Split
from nanochat_np.text.conversation import Conversation

VALIDATION_STRIDE = 20  # of a file, conversation 1, 21, 41, ... are not trained


class Source(Protocol):
    """An endless list of conversations."""

    @property
    def name(self) -> str:
        """Tells it from others, and tells the user which it is."""

    @property
    def length(self) -> int:
        """After so many conversations it repeats itself; 0 is never."""

    def conversation(self, index: int) -> Conversation:
        """Number ``index``, from 0."""


@dataclass(frozen=True)
class Generated:
    """A set of `generated`, from its item ``first`` on."""

    name: str
    split: Split
    first: int
    length: int = 0

    def conversation(self, index: int) -> Conversation:
        return generated.conversation(self.name, self.split, self.first + index)


@dataclass(frozen=True)
class Listed:
    """Conversations in memory: epoch after epoch, each in an order of its own, or always in theirs without a seed."""

    name: str
    conversations: Sequence[Conversation]
    seed: int | None = None

    @property
    def length(self) -> int:
        return len(self.conversations)

    def conversation(self, index: int) -> Conversation:
        epoch, place = divmod(index, self.length)
        return self.conversations[
            place if self.seed is None else _order(self.seed, self.name, epoch, self.length)[place]
        ]


@lru_cache(maxsize=16)
def _order(seed: int, name: str, epoch: int, length: int) -> list[int]:
    order: list[int] = stream(seed, f"conversations/{name}/{epoch}").permutation(length).tolist()
    return order


class Mixture(NamedTuple):
    """Sources, and what share of the conversations each is."""

    sources: tuple[Source, ...]
    weights: tuple[float, ...]

    def next(self, counts: Sequence[int]) -> int:
        """The source that is furthest behind its share after so many conversations of each."""
        total, drawn = sum(self.weights), sum(counts) + 1
        return int(np.argmax([w / total * drawn - count for w, count in zip(self.weights, counts, strict=True)]))

    def epoch(self, counts: Sequence[int]) -> int:
        """How often the source that repeats itself most has been begun, from 1."""
        begun = [-(-count // one.length) for one, count in zip(self.sources, counts, strict=True) if one.length]
        return max([1, *begun])


class Mixtures(NamedTuple):
    """What is trained, and what is only predicted."""

    train: Mixture
    validation: Mixture


def open_mixtures(spec: str, seed: int, stage: str) -> Mixtures:
    """The sources of ``spec``: names of `generated.SETS`, "generated" or paths (see `read_conversations`).

    They are separated by commas, and each may have ``:WEIGHT`` after it, its share against the others' (1 if not said).
    Of a file every VALIDATION_STRIDE-th conversation is for validation; generated sets have a test split.  Where in
    a generated set training begins depends on ``seed`` and ``stage``, so that no two see the same.

    Raises ConfigError for a share that is none, DataError for what cannot be read or is too little.
    """
    begin = crc32(f"{stage}:{seed}".encode()) << 32
    train: list[Source] = []
    validation: list[Source] = []
    weights = []
    for name, weight in map(_parsed, spec.split(",")):
        if name in {source.name for source in train}:
            raise ConfigError(f"--data {spec}: {name} is named twice: give it the sum of the shares")
        if name in (generated.GENERATED, *generated.SETS):
            train.append(Generated(name, "train", begin))
            validation.append(Generated(name, "test", 0))
        else:
            found = _read(name)
            train.append(Listed(name, [one for i, one in enumerate(found) if i % VALIDATION_STRIDE], seed))
            validation.append(Listed(name, found[::VALIDATION_STRIDE]))
        weights.append(weight)
    return Mixtures(Mixture(tuple(train), tuple(weights)), Mixture(tuple(validation), tuple(weights)))


def _parsed(part: str) -> tuple[str, float]:
    name, colon, share = part.strip().rpartition(":")
    if not colon:
        return share, 1.0
    try:
        weight = float(share)
    except ValueError:
        raise ConfigError(f"--data {part}: after the colon comes the share, a number above 0") from None
    if not 0 < weight < float("inf"):
        raise ConfigError(f"--data {part}: the share must be a number above 0")
    return name, weight


def _read(name: str) -> list[Conversation]:
    path = Path(name).expanduser()
    if not name or not path.exists():
        sets = (generated.GENERATED, *generated.SETS)
        near = difflib.get_close_matches(name, sets, n=1)
        suggestion = f"did you mean {near[0]}? " if near else ""
        raise DataError(
            f"--data {name!r}: no such file or folder, nor a generated set: {suggestion}generated are {', '.join(sets)}"
        )
    found = read_conversations(path)
    if len(found) < 2:
        raise DataError(f"{path}: has one conversation: it takes two at least, one to train on and one to validate on")
    return found
