import re
from itertools import chain
from unittest import mock

from hypothesis import given
from hypothesis import strategies as st

from nanochat_np.text import split
from nanochat_np.text.split import pieces
from tests.strategies import few
from tests.text import bpe_oracle
from tests.text.vocabulary import texts

lines = st.text(alphabet="aB7 \n\r\t.'é\u3000\x1c", max_size=60)


@few
@given(lines | texts, st.integers(1, 9))
def test_a_long_text_is_cut_where_the_pattern_cuts(text, size):
    with mock.patch.object(split, "PIECE", size):
        found = list(pieces(text))
    assert "".join(found) == text
    assert list(chain.from_iterable(map(bpe_oracle.chunks, found))) == bpe_oracle.chunks(text)


def test_pieces_begin_with_lines_and_have_a_size():
    with mock.patch.object(split, "PIECE", 5):
        assert list(pieces("one\ntwo\n  three\nfour\n\nfive\n")) == ["one\ntwo\n  three\n", "four\n\n", "five\n"]
    assert list(pieces("short\ntext")) == ["short\ntext"]
    assert list(pieces("")) == [""]


@few
@given(st.lists(st.integers(0, 45).map(lambda spaces: " " * spaces + "x")).map("".join))
def test_only_long_runs_of_spaces_are_cut_inside(text):
    with mock.patch.object(split, "BLANK", 10):
        found = list(pieces(text))
    assert "".join(found) == text
    assert _longest_run(found) < 2 * 10
    if _longest_run([text]) < 10:
        assert found == [text]


def _longest_run(some):
    return max((len(run) for text in some for run in re.findall(r"\s+", text)), default=0)
