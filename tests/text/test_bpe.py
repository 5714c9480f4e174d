import numpy as np
import pytest
from hypothesis import given

from nanochat_np.errors import DataError
from nanochat_np.text.bpe import BYTES, BpeTokenizer
from nanochat_np.text.special import BOS, SPECIALS, USER_END
from nanochat_np.text.split import BLANK
from tests.strategies import few
from tests.text import bpe_oracle
from tests.text.vocabulary import small_tokenizer, texts

STORY = "Once upon a time, there was a little girl who lived near 12345 foxes."


@few
@given(texts)
def test_decode_inverts_encode(text):
    tokenizer = small_tokenizer()
    ids = tokenizer.encode(text)
    assert ids.dtype == np.int32
    assert tokenizer.decode(ids) == text


@few
@given(texts)
def test_ids_are_those_of_the_definition(text):
    tokenizer = small_tokenizer()
    assert tokenizer.encode(text).tolist() == bpe_oracle.encode(text, tokenizer.tokens)


@few
@given(texts)
def test_no_text_becomes_a_special_token(text):
    tokenizer = small_tokenizer()
    assert (tokenizer.encode(text) < len(tokenizer.tokens)).all()


def test_a_vocabulary_is_bytes_then_merges_then_special_tokens():
    tokenizer = BpeTokenizer((*BYTES, b"he", b"llo"))
    assert tokenizer.vocab_size == 256 + 2 + 9
    assert tokenizer.bos == tokenizer.special_ids[BOS] == 258
    assert list(tokenizer.special_ids) == list(SPECIALS)
    assert tokenizer.special_ids["<|output_end|>"] == 266
    assert tokenizer.encode("hé he").tolist() == [104, 195, 169, 32, 256]


def test_tokens_around_a_text():
    tokenizer = small_tokenizer()
    plain = tokenizer.encode(STORY).tolist()
    end = tokenizer.special_ids[USER_END]
    assert tokenizer.encode(STORY, prepend=tokenizer.bos).tolist() == [tokenizer.bos, *plain]
    assert tokenizer.encode(STORY, append=end).tolist() == [*plain, end]
    assert tokenizer.encode(STORY, tokenizer.bos, end).tolist() == [tokenizer.bos, *plain, end]
    assert tokenizer.encode("", 0, end).tolist() == [0, end]
    assert tokenizer.encode("").shape == (0,)


@pytest.mark.parametrize("threads", [None, 1, 2, 5])
def test_a_batch_is_each_of_its_texts_in_order(threads):
    tokenizer = small_tokenizer()
    batch = [STORY * (number % 3) + str(number) for number in range(11)]
    encoded = tokenizer.encode_batch(iter(batch), prepend=tokenizer.bos, append=7, threads=threads)
    assert [ids.tolist() for ids in encoded] == [tokenizer.encode(text, tokenizer.bos, 7).tolist() for text in batch]
    assert tokenizer.encode_batch([], threads=threads) == []


def test_a_fault_in_a_batch_is_told():
    with pytest.raises(DataError, match="surrogate"):
        small_tokenizer().encode_batch([STORY, STORY, "a\udc80"], threads=2)


def test_half_of_a_surrogate_pair_is_no_text():
    with pytest.raises(DataError, match=r"^'\\ud800' at position 2 is half of a surrogate pair"):
        small_tokenizer().encode("ab\ud800")


def test_special_tokens_are_shown_by_name_and_stand_for_no_bytes():
    tokenizer = small_tokenizer()
    ids = tokenizer.encode("hi", tokenizer.bos, tokenizer.special_ids[USER_END])
    assert tokenizer.decode(ids) == "<|bos|>hi<|user_end|>"
    lengths = tokenizer.token_bytes()
    assert lengths.dtype == np.int32
    assert lengths.shape == (tokenizer.vocab_size,)
    assert lengths[ids].sum() == 2
    assert not lengths[len(tokenizer.tokens) :].any()


@few
@given(texts)
def test_the_bytes_of_tokens_add_up_to_those_of_the_text(text):
    tokenizer = small_tokenizer()
    assert tokenizer.token_bytes()[tokenizer.encode(text)].sum() == len(text.encode())


def test_bytes_of_a_part_of_a_character():
    tokenizer = BpeTokenizer(BYTES)
    ids = tokenizer.encode("é")
    assert tokenizer.decode_bytes(ids[:1]) + tokenizer.decode_bytes(ids[1:]) == "é".encode()
    assert tokenizer.decode(ids[:1]) == "\ufffd"
    assert tokenizer.decode(97) == "a"
    assert tokenizer.decode([]) == ""


@pytest.mark.parametrize("bad", [-1, 265, 2**40])
def test_an_id_out_of_range_is_named(bad):
    with pytest.raises(DataError, match=f"token id {bad}: the vocabulary goes from 0 to 264"):
        BpeTokenizer(BYTES).decode([1, bad])


@pytest.mark.parametrize(
    ("tokens", "fault"),
    [
        (BYTES[1:], "single bytes"),
        (BYTES[::-1], "single bytes"),
        ((*BYTES, b"ab", b"ab"), "distinct"),
        ((*BYTES, b"a"), "distinct"),
        ((*BYTES, b""), "empty"),
    ],
)
def test_what_is_no_vocabulary_is_refused(tokens, fault):
    with pytest.raises(DataError, match=fault):
        BpeTokenizer(tokens)


def test_the_fingerprint_tells_tokenizers_apart():
    variants = [
        BpeTokenizer((*BYTES, *tokens), pattern)
        for tokens in ((), (b"ab", b"cd"), (b"cd", b"ab"), (b"abcd",))
        for pattern in (r"\S+|\s+", r"\s+|\S+")
    ]
    assert len({tokenizer.fingerprint for tokenizer in variants}) == len(variants)
    assert BpeTokenizer(BYTES).fingerprint == BpeTokenizer(BYTES).fingerprint


def test_a_run_of_spaces_that_overflows_the_engine_of_the_pattern():
    tokenizer = small_tokenizer()
    text = f"x{' ' * 1_100_000}y"
    assert tokenizer.decode(tokenizer.encode(text)) == text
    shorter = f"x{' ' * (BLANK - 1)}y"
    assert (tokenizer.encode(shorter) == tokenizer._encoding.encode_ordinary(shorter)).all()
