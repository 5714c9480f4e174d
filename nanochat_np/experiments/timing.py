"""Medians of cases that are measured in turn."""

import statistics
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any, TypeVar

Key = TypeVar("Key")
Work = Callable[[int], float]  # does something so many times and returns the seconds that it took


def repeated(function: Callable[..., Any], *args: Any) -> Work:
    """Calls of ``function`` as work."""

    def work(count: int) -> float:
        begin = time.perf_counter()
        for _ in range(count):
            function(*args)
        return time.perf_counter() - begin

    return work


def in_turn(cases: Mapping[Key, tuple[Work, float]], repeats: int) -> Iterator[dict[Key, float]]:
    """Measure every case ``repeats`` times, A B C A B C ..., so that all share what the machine does meanwhile.

    A case is its work and about how many seconds to spend on it at a time.  Yields a round at a time: the seconds that
    each case took for one.
    """
    counts = {name: count_for(work, seconds) for name, (work, seconds) in cases.items()}
    for _ in range(repeats):
        yield {name: work(counts[name]) / counts[name] for name, (work, _) in cases.items()}


def count_for(work: Work, seconds: float) -> int:
    """How many times take about ``seconds``, at least once; what is done to find out warms caches and pools."""
    count = 1
    while (took := work(count)) < seconds / 4:
        count *= 4
    return max(1, round(count * seconds / took))


def medians(rounds: list[dict[Key, float]]) -> dict[Key, float]:
    """Median over the rounds of every case."""
    return {name: statistics.median(each[name] for each in rounds) for name in rounds[0]}
