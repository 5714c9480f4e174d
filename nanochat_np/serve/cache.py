"""Answers that a request would get again: kept for a while, those that were asked for last the longest."""

import time
from collections import OrderedDict
from collections.abc import Callable
from fnmatch import fnmatchcase
from typing import Generic, NamedTuple, TypeVar

V = TypeVar("V")


class _Entry(NamedTuple, Generic[V]):
    born: float
    size: int
    value: V


class Cache(Generic[V]):
    """Values of at most ``room`` bytes together, by what `put` is told of them, each for ``ttl`` seconds.

    A key of None is never found and never kept.
    """

    def __init__(self, room: int, ttl: float, clock: Callable[[], float] = time.monotonic) -> None:
        self.room, self.ttl = room, ttl
        self.used = self.hits = self.misses = 0
        self._clock = clock
        self._kept: OrderedDict[str, _Entry[V]] = OrderedDict()

    def __len__(self) -> int:
        return len(self._kept)

    def get(self, key: str | None) -> V | None:
        """The value of a key, where it is there and not too old."""
        if key is None:
            return None
        entry = self._kept.get(key)
        if entry is None or self._clock() - entry.born >= self.ttl:
            self._forget(key)
            self.misses += 1
            return None
        self._kept.move_to_end(key)
        self.hits += 1
        return entry.value

    def put(self, key: str | None, value: V, size: int) -> None:
        """Keep a value of so many bytes beside its key, and let go of those that were not asked for the longest."""
        if key is None:
            return
        self._forget(key)
        self._kept[key] = entry = _Entry(self._clock(), size + len(key), value)
        self.used += entry.size
        while self.used > self.room:
            self._forget(next(iter(self._kept)))

    def invalidate(self, pattern: str | None) -> int:
        """Forget the keys that a shell-style pattern matches, all if None; how many they were."""
        chosen = [key for key in self._kept if pattern is None or fnmatchcase(key, pattern)]
        for key in chosen:
            self._forget(key)
        return len(chosen)

    def _forget(self, key: str) -> None:
        entry = self._kept.pop(key, None)
        if entry is not None:
            self.used -= entry.size
