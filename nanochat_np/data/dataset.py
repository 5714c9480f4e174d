"""A corpus as tokens, split into training and validation."""

import hashlib
import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from nanochat_np.data.corpus import Corpus, load_corpus
from nanochat_np.data.futuristic import TEXT
from nanochat_np.errors import DataError
from nanochat_np.text.character import BOS, CharTokenizer

Array = TypeVar("Array", bound=np.ndarray)


@dataclass(frozen=True, eq=False)
class Dataset:
    """``train`` and ``val`` are read-only int32 tokens (n,); ``byte_lengths`` (V,) int64 as the tokenizer's.

    ``sha256`` tells apart datasets of different text or style (it does not cover the split).
    """

    name: str
    sha256: str
    tokenizer: CharTokenizer
    train: npt.NDArray[np.int32]
    val: npt.NDArray[np.int32]
    byte_lengths: npt.NDArray[np.int64]


def load_dataset(data: str, style: str, val_fraction: float) -> Dataset:
    """The corpus ``data`` (see ``load_corpus``) as one stream of tokens, BOS before each document, cut in two.

    The tail is for validation (see ``split_point``). Style "futuristic" appends the built-in futuristic text to the
    training tokens only: the validation text is that of "classic". Raises DataError for a text with nothing to learn
    or with fewer than 2 tokens on either side of the cut, and what ``load_corpus`` raises.
    """
    corpus = load_corpus(data)
    appended = (TEXT,) if style == "futuristic" else ()
    tokenizer = _vocabulary(corpus, appended)
    stream = _stream(tokenizer, corpus.documents)
    cut = split_point(stream.size, val_fraction)
    dataset = Dataset(
        name=corpus.name,
        sha256=_sha256(corpus, style, appended),
        tokenizer=tokenizer,
        train=_read_only(np.concatenate([stream[:cut], _stream(tokenizer, appended)])),
        val=_read_only(stream[cut:].copy()),
        byte_lengths=_read_only(tokenizer.byte_lengths()),
    )
    require_window(dataset, block_size=1)
    return dataset


def split_point(n: int, val_fraction: float) -> int:
    """How many of ``n`` >= 2 tokens are for training: all but the n · val_fraction, rounded, of the tail.

    Each side gets at least one. The pair of tokens across the cut belongs to neither side.
    """
    val_length = math.floor(n * val_fraction + 0.5)
    return n - min(max(val_length, 1), n - 1)


def require_window(dataset: Dataset, block_size: int) -> None:
    """Raise DataError unless one window fits the training tokens (block_size + 1) and one pair the validation (2)."""
    smaller = "a smaller --val-fraction" if block_size == 1 else "a smaller --block-size"
    _require(dataset.name, "training", dataset.train.size, block_size + 1, smaller)
    _require(dataset.name, "validation", dataset.val.size, 2, "a larger --val-fraction")


def _require(name: str, part: str, tokens: int, needed: int, remedy: str) -> None:
    if tokens < needed:
        raise DataError(f"{name}: {part} needs {needed} tokens and has {tokens}: use {remedy} or more text")


def _vocabulary(corpus: Corpus, appended: Iterable[str]) -> CharTokenizer:
    tokenizer = CharTokenizer.from_text("".join(corpus.documents))
    if len(tokenizer.characters) == 1:
        raise DataError(f"{corpus.name}: has only the character {tokenizer.characters!r}: there is nothing to learn")
    return CharTokenizer.from_text("".join([tokenizer.characters, *appended]))


def _stream(tokenizer: CharTokenizer, documents: Iterable[str]) -> npt.NDArray[np.int32]:
    bos = np.array([BOS], dtype=np.int32)
    pieces = [piece for document in documents for piece in (bos, tokenizer.encode(document))]
    return np.concatenate(pieces) if pieces else bos[:0]


def _sha256(corpus: Corpus, style: str, appended: tuple[str, ...]) -> str:
    """The digest of the corpus itself as long as a style adds nothing to it."""
    if not appended:
        return corpus.sha256
    return hashlib.sha256("\0".join([style, corpus.sha256, *appended]).encode()).hexdigest()


def _read_only(array: Array) -> Array:
    array.setflags(write=False)
    return array
