"""Words to spell: half of them English, half made up so that syllables and letters repeat.

Averages over English words hide a weakness at words such as banana and tennessee, of which there are few.
"""

import contextlib
import re
from functools import cache

from nanochat_np.backend.random import Draws
from nanochat_np.data.corpus import load_corpus
from nanochat_np.errors import DataError
from nanochat_np.tasks.held_out import is_held_out
from nanochat_np.tasks.item import Split
from nanochat_np.tasks.word_lists import COMMON, HARD_WORDS

_HARD = frozenset(HARD_WORDS)
_LONGEST = 15
_WORD = re.compile(rf"(?<![A-Za-z0-9_])[a-z]{{3,{_LONGEST}}}(?![A-Za-z0-9_])")
_FIRST = (*"bcdfghjklmnprstvwz", "st", "tr", "br", "ch", "sh", "gr", "pl", "th")
_VOWELS = (*"aaeeiioou", "y", "ee", "oo", "ou", "ai")
_LAST = ("", "", "", "", *"nrslmtkp")


@cache
def english(split: Split) -> tuple[str, ...]:
    """Words of 3 to 15 letters from the text that every Python carries, and COMMON; HARD_WORDS are in neither split.

    Sorted; they differ a little between versions of Python.
    """
    found = set(COMMON)
    with contextlib.suppress(DataError):  # a Python without its sources: the common ones have to do
        for document in load_corpus("stdlib").documents:
            found.update(_WORD.findall(document))
    return tuple(sorted(word for word in found - _HARD if is_held_out(word) == (split == "test")))


def any_word(draws: Draws, split: Split) -> str:
    """A word of the split, English or made up."""
    return draws.pick(english(split)) if draws.chance(50) else made_up(draws, split)


def made_up(draws: Draws, split: Split) -> str:
    """What looks like a word of the split, of 3 to 15 letters: draws go on until one is."""
    while True:
        word = draws.pick(_KINDS)(draws)[:_LONGEST]
        if len(word) > 2 and word not in _HARD and is_held_out(word) == (split == "test"):
            return word


def _repeated(draws: Draws) -> str:
    """Two to five syllables of one to three different ones, such as banana has."""
    different = [_syllable(draws) for _ in range(1 + draws.below(3))]
    return "".join(draws.pick(different) for _ in range(2 + draws.below(4)))


def _syllable(draws: Draws) -> str:
    return draws.pick(_FIRST) + draws.pick(_VOWELS) + draws.pick(_LAST)


def _doubled(draws: Draws) -> str:
    """A word, or syllables, with one to three of its letters doubled, such as committee has."""
    word = draws.pick(english("train")) if draws.chance(50) else _repeated(draws)
    word = word[: _LONGEST - 2]
    for _ in range(1 + draws.below(3)):
        place = draws.below(len(word))
        if word[place] not in (word[place - 1 : place], word[place + 1 : place + 2]):
            word = word[:place] + word[place] + word[place:]
    return word


def _spliced(draws: Draws) -> str:
    """The beginning of one word and the end of another."""
    first, second = (draws.pick(english("train")) for _ in range(2))
    return first[: 2 + draws.below(5)] + second[-2 - draws.below(5) :]


_KINDS = (_repeated, _doubled, _spliced)
