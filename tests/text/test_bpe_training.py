import pytest
from hypothesis import given
from hypothesis import strategies as st

from nanochat_np.errors import ConfigError, DataError
from nanochat_np.text import bpe_training
from nanochat_np.text.bpe import BYTES
from nanochat_np.text.bpe_training import train_bpe
from tests.strategies import few
from tests.text import bpe_oracle
from tests.text.vocabulary import texts

# Few letters make many ties, and runs of one letter make pairs that overlap.
words = st.lists(st.text(alphabet="ab c1\n'sé", max_size=40), max_size=4)


@few
@given(words, st.integers(0, 30))
def test_the_vocabulary_is_that_of_the_definition(some, merges):
    expected = bpe_oracle.train(some, merges)
    tokenizer = train_bpe(some, len(expected) + 9)
    assert tokenizer.tokens == expected
    for text in some:
        assert tokenizer.encode(text).tolist() == bpe_oracle.encode(text, expected)


def test_the_most_frequent_pair_comes_first_and_then_the_one_of_smaller_ids():
    # "ab" and "xy" twice each, "ba" once; then 256 = "ab", and (256, 99) = "abc" as often as (120, 121) = "xy"
    assert train_bpe(["abc", "xy", "xy", "abc"], 265 + 3).tokens[256:] == (b"ab", b"xy", b"abc")
    assert train_bpe(["aaaa"], 265 + 2).tokens[256:] == (b"aa", b"aaaa")


def test_no_merge_reaches_over_a_cut():
    tokens = train_bpe(["it's 2024, it's 2024.\n\nHello  world"] * 9, 265 + 16).tokens[256:]
    assert {b"'s", b" it", b"20", b"24", b" world"} <= set(tokens)
    assert not [token for token in tokens if b"202" in token or b"t'" in token]


@few
@given(st.lists(texts, max_size=3))
def test_any_text_can_be_learnt_from(some):
    assert train_bpe(some, 265).tokens == BYTES


def test_a_text_that_is_too_small_names_both_numbers():
    assert train_bpe(["aaaa", "aab"], 268).vocab_size == 268
    for vocab_size in (269, 300):
        with pytest.raises(DataError, match=f"vocabulary of {vocab_size}: it leads to 268 tokens: .*--vocab-size"):
            train_bpe(["aaaa", "aab"], vocab_size)
    with pytest.raises(DataError, match=f"vocabulary of {10**20}: it leads to 265 tokens"):
        train_bpe([], 10**20)


def test_a_vocabulary_without_room_for_the_bytes():
    with pytest.raises(ConfigError, match="264 is too small: it needs at least 265"):
        train_bpe(["text"], 264)


def test_texts_are_read_one_after_another_and_their_errors_pass():
    def broken():
        yield "text"
        raise OSError("the disk")

    with pytest.raises(OSError, match="the disk"):
        train_bpe(broken(), 265)
    with pytest.raises(DataError, match=r"has '\\ud800', which is no character"):
        train_bpe(["ab", "a\ud800"], 265)


def test_long_texts_are_learnt_from_in_pieces(monkeypatch):
    text = "one two\nthree  four\n\n five\nsix" * 30
    whole = train_bpe([text], 280)
    monkeypatch.setattr("nanochat_np.text.split.PIECE", 16)
    monkeypatch.setattr(bpe_training, "BUFFER", 2)
    assert train_bpe([text], 280) == whole


def test_a_run_of_spaces_that_overflows_the_engine_of_the_pattern():
    assert train_bpe(["x" + " " * 1_100_000 + "y"], 267).tokens[256:] == (b"  ", b"    ")
