"""The character tokenizer: one token a Unicode code point, and one that begins a document."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from nanochat_np.errors import DataError

BOS = 0
BOS_NAME = "<BOS>"
# Beyond the last code point (U+10FFFF), so that no character is ever taken for BOS.
_NO_CODE_POINT = np.uint32(0xFFFFFFFF)


class UnknownCharacter(DataError):
    """A character outside the vocabulary; ``position`` counts characters from 0."""

    def __init__(self, character: str, position: int) -> None:
        self.character = character
        self.position = position
        super().__init__(
            f"unknown character {character!r} (U+{ord(character):04X}) at position {position}: "
            f"leave it out, or train on a text that has it"
        )


@dataclass(frozen=True)
class CharTokenizer:
    """Token 0 is BOS; tokens 1..K are ``characters``, K distinct code points in ascending order."""

    characters: str

    def __post_init__(self) -> None:
        if list(self.characters) != sorted(set(self.characters)):
            raise DataError(f"the characters of a vocabulary must be distinct and sorted, got {self.characters!r}")

    @classmethod
    def from_text(cls, text: str) -> "CharTokenizer":
        """The vocabulary of exactly the characters that ``text`` has."""
        return cls("".join(sorted(set(text))))

    @property
    def vocab_size(self) -> int:
        """K + 1: the characters and BOS."""
        return len(self.characters) + 1

    def encode(self, text: str) -> npt.NDArray[np.int32]:
        """Ids (len(text),) of the characters of ``text``, without BOS.

        Raises UnknownCharacter for the first character outside the vocabulary.
        """
        known = self._code_points()
        given = _code_points(text)
        ids = np.searchsorted(known[1:], given, side="right")
        unknown = np.flatnonzero(known[ids] != given)
        if unknown.size:
            position = int(unknown[0])
            raise UnknownCharacter(text[position], position)
        return ids.astype(np.int32)

    def decode(self, ids: npt.ArrayLike) -> str:
        """The text of integer ``ids``; BOS stands for no character and is skipped.

        Raises DataError for an id outside 0..K.
        """
        tokens = np.asarray(ids, dtype=np.int64).reshape(-1)
        outside = tokens[(tokens < 0) | (tokens >= self.vocab_size)]
        if outside.size:
            raise DataError(
                f"unknown token id {outside[0]}: the vocabulary goes from 0 ({BOS_NAME}) to {self.vocab_size - 1}"
            )
        return self._code_points()[tokens[tokens != BOS]].tobytes().decode("utf-32-le")

    def byte_lengths(self) -> npt.NDArray[np.int64]:
        """UTF-8 bytes of each token (V,); 0 for BOS."""
        return np.array([0, *(len(character.encode()) for character in self.characters)], dtype=np.int64)

    def _code_points(self) -> npt.NDArray[np.uint32]:
        """The code point of each token (V,), with a stand-in for BOS that equals none."""
        return np.concatenate(([_NO_CODE_POINT], _code_points(self.characters)), dtype="<u4")


def _code_points(text: str) -> npt.NDArray[np.uint32]:
    # surrogatepass: a prompt from a terminal may hold lone surrogates, which are then unknown characters.
    return np.frombuffer(text.encode("utf-32-le", "surrogatepass"), dtype="<u4")
