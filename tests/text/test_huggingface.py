import json

import pytest
from hypothesis import given, settings

from nanochat_np.errors import DataError
from nanochat_np.text.bpe import BYTES, BpeTokenizer
from nanochat_np.text.huggingface import halves, tokenizer_json
from nanochat_np.text.special import SPECIALS
from tests.text.vocabulary import small_tokenizer, texts


def test_the_halves_of_a_token_are_those_it_was_merged_from():
    tokens = (*BYTES, b"bc", b"abc", b"aa", b"aaa", b"aaaa")
    # "aaaa" is merged from the left in pairs, so that it never is "aaa" and "a".
    assert halves(tokens) == [(b"b", b"c"), (b"a", b"bc"), (b"a", b"a"), (b"aa", b"a"), (b"aa", b"aa")]


def test_merging_the_halves_of_a_trained_vocabulary_makes_its_tokens():
    tokens = small_tokenizer().tokens
    ids = {token: number for number, token in enumerate(tokens)}
    pairs = halves(tokens)
    assert tuple(left + right for left, right in pairs) == tokens[256:]
    assert all(max(ids[left], ids[right]) < ids[left + right] for left, right in pairs)


@pytest.mark.parametrize("made", [(b"abc",), (b"abcd", b"ab", b"cd")])
def test_a_token_that_no_two_earlier_ones_make_is_refused(made):
    with pytest.raises(DataError, match=r"token 256 \(b'abc"):
        halves((*BYTES, *made))


def test_the_content():
    tokenizer = BpeTokenizer((*BYTES, b" a", b"\n\n"))
    content = json.loads(tokenizer_json(tokenizer))
    assert content["model"]["merges"] == ["Ġ a", "Ċ Ċ"]
    vocabulary = content["model"]["vocab"]
    assert [vocabulary[token] for token in ("A", "Ġ", "Ā", "Ń", "ÿ", "Ġa", "ĊĊ", "<|bos|>")] == [
        *(65, 32, 0, 0xAD, 255, 256, 257, 258),
    ]
    assert sorted(vocabulary.values()) == list(range(tokenizer.vocab_size))
    assert [added["content"] for added in content["added_tokens"]] == list(SPECIALS)
    assert [added["id"] for added in content["added_tokens"]] == list(range(258, 267))
    cut, byte_level = content["pre_tokenizer"]["pretokenizers"]
    assert cut["pattern"]["Regex"] == tokenizer.pattern
    assert not byte_level["add_prefix_space"]
    assert not byte_level["use_regex"]  # it would cut once more, by the pattern of GPT-2


@pytest.mark.interop
@settings(max_examples=1000)
@given(texts)
def test_their_library_gives_the_same_ids(text):
    theirs = pytest.importorskip("tokenizers").Tokenizer.from_str(tokenizer_json(small_tokenizer()).decode())
    assert theirs.get_vocab_size() == small_tokenizer().vocab_size
    special = theirs.encode("<|bos|>a<|output_end|>", add_special_tokens=False).ids
    assert special == [small_tokenizer().bos, ord("a"), small_tokenizer().vocab_size - 1]
    theirs.encode_special_tokens = True
    ids = theirs.encode(text, add_special_tokens=False).ids
    assert ids == small_tokenizer().encode(text).tolist()
    assert theirs.decode(ids, skip_special_tokens=False) == text
