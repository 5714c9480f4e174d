"""Answers that a request would get again: kept for a while, those that were asked for last the longest."""

import time
from collections import OrderedDict
from collections.abc import Callable
from fnmatch import fnmatchcase
from typing import Generic, TypeVar

V = TypeVar("V")


class Cache(Generic[V]):
    """At most ``size`` values, each for ``ttl`` seconds.  A key of None is never found and never kept."""

    def __init__(self, size: int, ttl: float, clock: Callable[[], float] = time.monotonic) -> None:
        self.size, self.ttl = size, ttl
        self.hits = self.misses = 0
        self._clock = clock
        self._kept: OrderedDict[str, tuple[float, V]] = OrderedDict()

    def __len__(self) -> int:
        return len(self._kept)

    def get(self, key: str | None) -> V | None:
        """The value of a key, where it is there and not too old."""
        if key is None:
            return None
        born, value = self._kept.get(key, (None, None))
        if born is None or self._clock() - born > self.ttl:
            self._kept.pop(key, None)
            self.misses += 1
            return None
        self._kept.move_to_end(key)
        self.hits += 1
        return value

    def put(self, key: str | None, value: V) -> None:
        """Keep a value, and let go of those that were not asked for the longest."""
        if key is None:
            return
        self._kept[key] = self._clock(), value
        self._kept.move_to_end(key)
        while len(self._kept) > self.size:
            self._kept.popitem(last=False)

    def invalidate(self, pattern: str | None) -> int:
        """Forget the keys that a shell-style pattern matches, all if None; how many they were."""
        chosen = [key for key in self._kept if pattern is None or fnmatchcase(key, pattern)]
        for key in chosen:
            del self._kept[key]
        return len(chosen)
