import hashlib
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nanochat_np.data.stories import stories

LONG = stories(300_000)


def test_the_text_is_pinned():
    digest = hashlib.sha256("\0".join(stories(10_000)).encode("ascii")).hexdigest()
    assert digest == "bdeca40b35c440070ea358633537620bfe7d1bcbc0ed3ca0ed34dbc76c2bc0e2"


@given(st.integers(1, 20_000))
def test_fewer_characters_are_the_beginning_of_more(n):
    short = stories(n)
    assert sum(map(len, short)) == n
    assert all(short)
    assert short[:-1] == LONG[: len(short) - 1]
    assert LONG[len(short) - 1].startswith(short[-1])


def test_stories_are_varied():
    text = "".join(LONG)
    assert len(set(re.findall("[a-z]+", text.lower()))) > 500
    assert len(set(LONG)) == len(LONG)


def test_every_slot_is_filled_and_every_story_ends_a_line():
    assert not set("{}") & set("".join(LONG))
    assert all(story.endswith("\n") and "  " not in story for story in LONG[:-1])


@pytest.mark.parametrize(
    "wrong",
    [
        r"\b[Aa] [aeiou]",
        r"\b[Aa]n (?!hour)[^aeiou]",
        r"\bI (are|have been)|\b[Ww]e am\b",
        r"\b(she|he|it) were\b|\b[Tt]hey was\b",
        r"\b\w+ and \w+ was\b",
        r"\bone \w+s\b|\bwas (two|three|four|five|six|seven|eight|nine|ten)\b|\bwere one\b",
        r"[.!?] [a-z]",
    ],
)
def test_grammar_agrees(wrong):
    assert not re.search(wrong, "".join(LONG))


def test_pronouns_agree_with_the_hero():
    own = {"girl": {"her"}, "boy": {"his"}, "friends": {"their"}}
    for story in LONG[:-1]:
        hero = re.search(r"\b(girl|boy|friends)\b", story)[0]
        pronouns = re.findall(r"\b(?:her|his|their)\b", story.lower().replace("tickled his big toe", ""))
        assert set(pronouns) <= own[hero], story
