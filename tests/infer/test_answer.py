"""Text as it comes: whole characters, no control tokens, stop strings cut wherever they fall."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nanochat_np.infer.answer import AnswerText, Span
from nanochat_np.text import special
from tests.infer.tiny import TOKENIZER
from tests.strategies import few

IDS = TOKENIZER.special_ids


def fed(parts, stop=()):
    """All spans, and the pieces that each part gave."""
    text = AnswerText(TOKENIZER, stop)
    pieces = [text.feed(part) for part in parts] + [text.end()]
    return [span for piece in pieces for span in piece], text.stopped


def joined(spans):
    return "".join(span.text for span in spans)


@few
@given(st.text(), st.lists(st.integers(0, 30)))
def test_any_text_cut_anywhere_comes_whole(text, sizes):
    tokens, parts = list(text.encode()), []
    for size in sizes:
        parts.append(tokens[:size])
        tokens = tokens[size:]
    spans, _ = fed([*parts, tokens])
    assert joined(spans) == text
    for span in spans:
        assert "\N{REPLACEMENT CHARACTER}" not in span.text or "\N{REPLACEMENT CHARACTER}" in text


def test_what_is_no_utf_8_is_told_as_such():
    assert joined(fed([[*b"a", 0xC3], [*b"b"]])[0]) == "a\N{REPLACEMENT CHARACTER}b"
    assert joined(fed([[*b"a", 0xC3]])[0]) == "a\N{REPLACEMENT CHARACTER}"


def test_control_tokens_are_no_text_and_calls_come_whole():
    call = [IDS[special.PYTHON_START], *b"1+1", IDS[special.PYTHON_END]]
    answer = [IDS[special.OUTPUT_START], *b"2", IDS[special.OUTPUT_END]]
    tokens = [*b"so ", *call, *answer, *b" is it", IDS[special.ASSISTANT_END]]
    expected = [Span("text", "so "), Span("python", "1+1"), Span("python_output", "2"), Span("text", " is it")]
    spans, _ = fed([[token] for token in tokens])
    assert [span for span in spans if span.kind != "text"] == expected[1:3]
    assert joined(spans) == "so 1+12 is it"
    assert fed([[*b"x", IDS[special.PYTHON_START], *b"9"]])[0] == [Span("text", "x"), Span("python", "9")]


@few
@given(st.text("ab", max_size=8), st.text("ab", min_size=1, max_size=3), st.text("ab", max_size=4))
def test_text_ends_before_the_first_stop_string(before, stop, after):
    whole = before + stop + after
    spans, stopped = fed([[byte] for byte in whole.encode()], [stop])
    assert stopped
    assert joined(spans) == whole[: whole.index(stop)]


def test_the_earliest_of_several_stops_and_none():
    assert fed([[*b"one two"]], ["two", "ne"]) == ([Span("text", "o")], True)
    assert fed([[*b"one tw"]], ["two", ""]) == ([Span("text", "one "), Span("text", "tw")], False)


@pytest.mark.parametrize("stop", ["é", "xé"])
def test_a_stop_string_within_tokens(stop):
    assert joined(fed([[byte] for byte in "axéb".encode()], [stop])[0]) == "axéb".split(stop)[0]
