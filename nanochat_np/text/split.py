"""Where a text is cut before pairs of bytes are merged: no token reaches over such a cut."""

import itertools
import re
from collections.abc import Iterator

# That of GPT-4, but with digits in groups of up to two (nanochat's), which suits a small vocabulary better than three.
SPLIT_PATTERN = (
    r"'(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?+\p{L}+|\p{N}{1,2}| ?[^\s\p{L}\p{N}]++[\r\n]*|\s*[\r\n]|\s+(?!\S)|\s+"
)
PIECE = 2**14  # characters
BLANK = 2**16  # a run of a million spaces overflows the stack of the expression's engine, in rustbpe and in tiktoken

_LINE_START = re.compile(r"\n(?=\S)")


def pieces(text: str) -> Iterator[str]:
    """Parts of ``text`` that can be split each by itself, in order; together they are the text.

    A text of more than PIECE characters is cut before lines that begin with no space, where SPLIT_PATTERN cuts too, so
    that tokens stay as they are.  Only runs of more than BLANK spaces are cut inside.
    """
    cuts = sorted({*_line_starts(text), *_long_blanks(text)})
    return (text[start:end] for start, end in itertools.pairwise([0, *cuts, len(text)]))


def _line_starts(text: str) -> Iterator[int]:
    """Starts of lines at least PIECE characters apart."""
    start = 0
    while line := _LINE_START.search(text, start + PIECE):
        start = line.end()
        yield start


def _long_blanks(text: str) -> Iterator[int]:
    """The end of each block of BLANK characters that are spaces: a run of twice as many contains a whole block."""
    for start in range(0, len(text) - BLANK + 1, BLANK):
        if text[start : start + BLANK].isspace():
            yield start + BLANK
