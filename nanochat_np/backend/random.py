"""Random numbers by name: each part of a run draws from a stream of its own.

A stream is a Philox generator (Salmon et al. 2011) whose key mixes the seed with the stream's name, so that one part
never shifts another.  Philox is counter-based: number i of a stream can be had without the i before it.  Batches use
that, so that which windows step s sees depends on (seed, s) alone and there is no generator state to save or restore.
"""

import hashlib
from collections.abc import Sequence
from functools import cache
from typing import TypeVar

import numpy as np

T = TypeVar("T")

_WORDS = 4  # Philox makes its 64-bit words in blocks of four; its counter counts blocks


def _philox(seed: int, name: str, block: int = 0) -> np.random.Philox:
    digest = hashlib.sha256(f"{name}:{seed}".encode()).digest()
    return np.random.Philox(key=np.frombuffer(digest[:16], "<u8"), counter=block)


def stream(seed: int, name: str) -> np.random.Generator:
    """A generator for ``name`` ("init", "sampling/0", ...); equal arguments give equal numbers."""
    return np.random.Generator(_philox(seed, name))


def uniform_integers(seed: int, name: str, first: int, count: int, high: int) -> np.ndarray:
    """Numbers ``first`` to ``first + count`` of an endless stream of integers in [0, high).

    Returns (count,) int64.  The upper 32 bits of each word are scaled by multiplication (Lemire 2019), biased by less
    than high / 2**32.
    """
    skip = first % _WORDS
    words = _philox(seed, name, first // _WORDS).random_raw(skip + count)[skip:]
    return (((words >> np.uint64(32)) * np.uint64(high)) >> np.uint64(32)).astype(np.int64)


class Draws:
    """The numbers of one item of an endless list, cheap to begin at any item: SplitMix64 (Steele et al. 2014)."""

    def __init__(self, name: str, index: int) -> None:
        self._state = _mixed(_key(name) ^ _mixed(index & _MASK))

    def below(self, count: int) -> int:
        """An integer in [0, count), count < 2**32."""
        self._state = (self._state + _GOLDEN) & _MASK
        return ((_mixed(self._state) >> 32) * count) >> 32

    def chance(self, percent: int) -> bool:
        """True so many times in a hundred."""
        return self.below(100) < percent

    def pick(self, things: Sequence[T]) -> T:
        """One of them, each as often."""
        return things[self.below(len(things))]


_MASK, _GOLDEN = 2**64 - 1, 0x9E3779B97F4A7C15


@cache
def _key(name: str) -> int:
    return int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], "little")


def _mixed(word: int) -> int:
    word = ((word ^ (word >> 30)) * 0xBF58476D1CE4E5B9) & _MASK
    word = ((word ^ (word >> 27)) * 0x94D049BB133111EB) & _MASK
    return word ^ (word >> 31)
