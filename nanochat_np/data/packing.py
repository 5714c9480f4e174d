"""Packing documents into rows of fixed length: best fit, else crop the shortest."""

from bisect import bisect_right, insort
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import numpy.typing as npt


class Reference(NamedTuple):
    """Where a document stands: numbers of its file, of its group, and in the group."""

    file: int
    group: int
    number: int


class Document(NamedTuple):
    """``length`` tokens, of which ``tokens``, int32, are as many of the first as a row may take."""

    reference: Reference
    length: int
    tokens: npt.NDArray[np.int32]


class Waiting:
    """Documents that wait for a place in a row."""

    def __init__(self) -> None:
        self._documents: dict[int, Document] = {}  # by number of arrival, ascending
        self._arrivals = 0
        # Ascending (length, -arrival): of equally long documents the last is the one that came first.
        self._by_length: list[tuple[int, int]] = []

    def __len__(self) -> int:
        return len(self._documents)

    def add(self, document: Document) -> None:
        self._documents[self._arrivals] = document
        insort(self._by_length, (document.length, -self._arrivals))
        self._arrivals += 1

    def take(self, room: int) -> Document:
        """Remove and return the longest document of at most ``room`` tokens, or the shortest where none fits.

        Of equally long ones it is the one that came first.
        """
        end = bisect_right(self._by_length, (room, 0))
        if end == 0:
            end = bisect_right(self._by_length, (self._by_length[0][0], 0))
        _, arrival = self._by_length.pop(end - 1)
        return self._documents.pop(-arrival)

    def references(self) -> tuple[Reference, ...]:
        """Of all documents, in the order in which they came."""
        return tuple(document.reference for document in self._documents.values())


def fill(rows: npt.NDArray[np.int32], waiting: Waiting, top_up: Callable[[], None]) -> None:
    """Fill ``rows`` (B, R), one after the other, with documents end to end, ``top_up`` being called before each.

    A document that does not fit into what is left of its row is cropped, and the rest of it is lost: with best fit that
    happens only where no document of those waiting fits.
    """
    capacity = rows.shape[1]
    for row in rows:
        used = 0
        while used < capacity:
            top_up()
            tokens = waiting.take(capacity - used).tokens[: capacity - used]
            row[used : used + tokens.size] = tokens
            used += tokens.size
