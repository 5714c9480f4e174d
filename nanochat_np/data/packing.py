"""Packing documents into rows of fixed length: best fit, else crop the shortest."""

from bisect import bisect_right, insort
from collections.abc import Callable
from typing import Any, Generic, NamedTuple, Protocol, TypeVar

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


class Piece(Protocol):
    """What takes so many places of a row."""

    @property
    def length(self) -> int: ...

    @property
    def reference(self) -> Any: ...


P = TypeVar("P", bound=Piece)


class Waiting(Generic[P]):
    """Pieces that wait for a place in a row."""

    def __init__(self) -> None:
        self._pieces: dict[int, P] = {}  # by number of arrival, ascending
        self._arrivals = 0
        # Ascending (length, -arrival): of equally long pieces the last is the one that came first.
        self._by_length: list[tuple[int, int]] = []

    def __len__(self) -> int:
        return len(self._pieces)

    def add(self, piece: P) -> None:
        self._pieces[self._arrivals] = piece
        insort(self._by_length, (piece.length, -self._arrivals))
        self._arrivals += 1

    def take_fitting(self, room: int) -> P | None:
        """Remove and return the longest piece of at most ``room`` places, or None where none fits.

        Of equally long ones it is the one that came first.
        """
        end = bisect_right(self._by_length, (room, 0))
        if end == 0:
            return None
        _, arrival = self._by_length.pop(end - 1)
        return self._pieces.pop(-arrival)

    def take(self, room: int) -> P:
        """`take_fitting`, or the shortest where none fits."""
        found = self.take_fitting(room) or self.take_fitting(self._by_length[0][0])
        assert found is not None
        return found

    def references(self) -> tuple[Any, ...]:
        """Of all pieces, in the order in which they came."""
        return tuple(piece.reference for piece in self._pieces.values())


def fill(rows: npt.NDArray[np.int32], waiting: Waiting[Document], top_up: Callable[[], None]) -> None:
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
