"""The byte-level BPE tokenizer: every byte is a token, and so is every pair that training has merged."""

import hashlib
import itertools
import threading
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache, cached_property

import msgspec
import numpy as np
import numpy.typing as npt
import tiktoken

from nanochat_np.backend.environment import available_cpus
from nanochat_np.errors import DataError
from nanochat_np.text.special import BOS, SPECIALS
from nanochat_np.text.split import SPLIT_PATTERN, pieces

BYTES = tuple(bytes([value]) for value in range(256))
SMALLEST_VOCABULARY = len(BYTES) + len(SPECIALS)
_WORTH_THREADS = 1 << 15  # characters: 2 ms of work


@dataclass(frozen=True)
class BpeTokenizer:
    """``tokens`` are the bytes of ids 0, 1, ...: the 256 single bytes, then merges in the order of training.

    The special tokens have the ids after them.  A text is cut by ``pattern``, and in each part the two neighbours that
    make the earliest token are merged until no two make one (Sennrich et al. 2016, on bytes).
    """

    tokens: tuple[bytes, ...]
    pattern: str = SPLIT_PATTERN

    def __post_init__(self) -> None:
        if self.tokens[: len(BYTES)] != BYTES:
            raise DataError("the first 256 tokens of a vocabulary must be the single bytes in order")
        if len(set(self.tokens)) != len(self.tokens) or b"" in self.tokens:
            raise DataError("the tokens of a vocabulary must be distinct, and none empty")

    @property
    def vocab_size(self) -> int:
        """Tokens of text and special tokens."""
        return len(self.tokens) + len(SPECIALS)

    @cached_property
    def special_ids(self) -> dict[str, int]:
        """The id of each special token by its name."""
        return {name: len(self.tokens) + index for index, name in enumerate(SPECIALS)}

    @property
    def bos(self) -> int:
        """The id of the token that begins a document."""
        return self.special_ids[BOS]

    def encode(self, text: str, prepend: int | None = None, append: int | None = None) -> npt.NDArray[np.int32]:
        """Ids (n,) of ``text`` between those of ``prepend`` and ``append``, where given.

        What looks like a special token is text like any other.  Raises DataError for half of a surrogate pair, which
        is no character.
        """
        before, after = ([] if token is None else [token] for token in (prepend, append))
        parts = itertools.chain([before], self._encoded(text), [after])
        return np.concatenate([np.fromiter(part, np.int32) for part in parts])

    def ids(self, text: str) -> list[int]:
        """What ``encode`` gives, for short texts: a list is made sooner than an array."""
        return list(itertools.chain.from_iterable(self._encoded(text)))

    def encode_batch(
        self, texts: Iterable[str], prepend: int | None = None, append: int | None = None, threads: int | None = None
    ) -> list[npt.NDArray[np.int32]]:
        """What ``encode`` makes of each text, in ``threads`` threads (default: the CPUs; one where that is as fast)."""
        given = list(texts)
        shared = sum(map(len, given)) >= _WORTH_THREADS
        step = (threads or _cpus()) if shared else 1
        encoded = [np.empty(0, np.int32)] * len(given)

        def encode_every(start: int) -> None:
            encoded[start::step] = [self.encode(text, prepend, append) for text in given[start::step]]

        if step == 1:
            encode_every(0)
        else:
            list(_pool(step).map(encode_every, range(step)))
        return encoded

    def _encoded(self, text: str) -> Iterator[list[int]]:
        _require_characters(text)
        return map(self._encoding.encode_ordinary, pieces(text))

    def decode(self, ids: npt.ArrayLike) -> str:
        """The text of ``ids``: what ``encode`` was given, exactly; special tokens by name, no UTF-8 as U+FFFD.

        Raises DataError for an id outside the vocabulary.
        """
        return self.decode_bytes(ids).decode(errors="replace")

    def decode_bytes(self, ids: npt.ArrayLike) -> bytes:
        """The bytes of ``ids``; those of a few tokens may end inside a character.

        Raises DataError for an id outside the vocabulary.
        """
        tokens = np.asarray(ids, dtype=np.int64).reshape(-1)
        outside = tokens[(tokens < 0) | (tokens >= self.vocab_size)]
        if outside.size:
            raise DataError(f"unknown token id {outside[0]}: the vocabulary goes from 0 to {self.vocab_size - 1}")
        return b"".join(map(self._decoder.__getitem__, tokens.tolist()))

    def token_bytes(self) -> npt.NDArray[np.int32]:
        """How many bytes of text each token stands for (V,); 0 for special tokens."""
        return np.array([*map(len, self.tokens), *(0 for _ in SPECIALS)], dtype=np.int32)

    @cached_property
    def fingerprint(self) -> str:
        """Hex digest of all that decides about ids: tokenizers of one fingerprint are the same."""
        tokens = [token.decode("latin-1") for token in self.tokens]
        return hashlib.sha256(msgspec.json.encode([self.pattern, SPECIALS, tokens])).hexdigest()

    @property
    def _encoding(self) -> tiktoken.Encoding:
        """The encoder of this thread: the first thread to use one owns its workspace, and others pay for locks."""
        if not hasattr(self._of_thread, "encoding"):
            ranks = {token: rank for rank, token in enumerate(self.tokens)}
            # It is not told of the special tokens: so no text can become one.
            encoding = tiktoken.Encoding("bpe", pat_str=self.pattern, mergeable_ranks=ranks, special_tokens={})
            self._of_thread.encoding = encoding
        known: tiktoken.Encoding = self._of_thread.encoding
        return known

    @cached_property
    def _of_thread(self) -> threading.local:
        return threading.local()

    @cached_property
    def _decoder(self) -> tuple[bytes, ...]:
        return (*self.tokens, *map(str.encode, SPECIALS))


@cache
def _cpus() -> int:
    """Asked once: the answer is read from files of the system."""
    return available_cpus()


@cache
def _pool(threads: int) -> ThreadPoolExecutor:
    """Threads that stay, and so do their encoders."""
    return ThreadPoolExecutor(threads)


def _require_characters(text: str) -> None:
    try:
        text.encode()
    except UnicodeEncodeError as error:
        half = f"{text[error.start]!r} at position {error.start}"
        raise DataError(f"{half} is half of a surrogate pair and no character: leave it out") from None
