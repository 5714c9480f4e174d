import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nanochat_np.errors import DataError
from nanochat_np.text.character import BOS, CharTokenizer, UnknownCharacter

# From one, two, three and four UTF-8 bytes, in code point order, which is not the order of UTF-16 units.
MIXED = "a\x7fé߿ࠀ\uffff😀"


def test_ids_are_one_based_ranks_of_the_sorted_characters():
    tokenizer = CharTokenizer.from_text("banana")
    assert tokenizer.characters == "abn"
    assert tokenizer.vocab_size == 4
    ids = tokenizer.encode("banana")
    assert ids.dtype == np.int32
    np.testing.assert_array_equal(ids, [2, 1, 3, 1, 3, 1])


@given(st.text())
def test_decode_inverts_encode(text):
    tokenizer = CharTokenizer.from_text(text)
    ids = tokenizer.encode(text)
    assert len(ids) == len(text)
    assert BOS not in ids
    assert tokenizer.decode(ids) == text


@given(st.text(), st.text(min_size=1))
def test_the_first_character_outside_the_vocabulary_is_named(known, text):
    tokenizer = CharTokenizer.from_text(known)
    unknown = [position for position, character in enumerate(text) if character not in known]
    if not unknown:
        assert tokenizer.decode(tokenizer.encode(text)) == text
        return
    with pytest.raises(UnknownCharacter) as caught:
        tokenizer.encode(text)
    assert caught.value.position == unknown[0]
    assert caught.value.character == text[unknown[0]]


@pytest.mark.parametrize(
    ("text", "named"),
    [("abZ", "'Z' (U+005A) at position 2"), ("😀b", "'😀' (U+1F600) at position 0"), ("a\ud800", r"'\ud800' (U+D800)")],
)
def test_an_unknown_character_is_a_data_error_in_one_line(text, named):
    with pytest.raises(DataError) as caught:
        CharTokenizer.from_text("ab").encode(text)
    assert named in str(caught.value)
    assert "\n" not in str(caught.value)


def test_decode_skips_bos_and_takes_lists_and_scalars():
    tokenizer = CharTokenizer.from_text("ab")
    assert tokenizer.decode([BOS, 2, BOS, 1]) == "ba"
    assert tokenizer.decode([]) == ""
    assert tokenizer.decode(2) == "b"


@pytest.mark.parametrize("bad", [-1, 3, 70_000])
def test_decode_names_an_id_out_of_range(bad):
    with pytest.raises(DataError, match=f"token id {bad}:.*0 \\(<BOS>\\) to 2"):
        CharTokenizer.from_text("ab").decode([1, bad, 2, 99])


def test_byte_lengths_are_those_of_utf8():
    lengths = CharTokenizer.from_text(MIXED).byte_lengths()
    assert lengths.dtype == np.int64
    np.testing.assert_array_equal(lengths, [0, 1, 1, 2, 2, 3, 3, 4])


@given(st.text())
def test_byte_lengths_of_a_text_sum_to_its_size(text):
    tokenizer = CharTokenizer.from_text(text)
    assert tokenizer.byte_lengths()[tokenizer.encode(text)].sum() == len(text.encode())


@pytest.mark.parametrize("characters", ["ba", "aa"])
def test_a_vocabulary_that_binary_search_would_get_wrong_is_refused(characters):
    with pytest.raises(DataError, match="sorted"):
        CharTokenizer(characters)
