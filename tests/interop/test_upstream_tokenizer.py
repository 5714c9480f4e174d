import os
import pickle

import pytest
import tiktoken

from nanochat_np.errors import CheckpointError
from nanochat_np.interop.upstream_tokenizer import open_tokenizer, read_upstream_tokenizer
from nanochat_np.text import bpe_file
from nanochat_np.text.bpe import BYTES
from nanochat_np.text.special import SPECIALS
from nanochat_np.text.split import SPLIT_PATTERN
from tests.text.vocabulary import small_tokenizer

RANKS = {token: rank for rank, token in enumerate((*BYTES, b"ab"))}
SPECIAL_IDS = {name: 257 + index for index, name in enumerate(SPECIALS)}


def encoding(ranks=RANKS, special=SPECIAL_IDS, pattern=SPLIT_PATTERN):
    return tiktoken.Encoding("rustbpe", pat_str=pattern, mergeable_ranks=ranks, special_tokens=special)


@pytest.fixture
def written(tmp_path):
    """Writes a value as tokenizer.pkl and returns the path."""

    def write(value, protocol=None):
        path = tmp_path / "tokenizer.pkl"
        path.write_bytes(pickle.dumps(value, protocol))
        return path

    return write


@pytest.mark.parametrize("protocol", [3, 4, 5])
def test_the_tokenizer_of_upstream_has_the_same_ids(written, protocol):
    ours = small_tokenizer()
    theirs = encoding({token: rank for rank, token in enumerate(ours.tokens)}, ours.special_ids)
    found = read_upstream_tokenizer(written(theirs, protocol))
    assert found == ours
    text = "Once upon a time <|bos|> 2024"
    assert found.encode(text, found.bos).tolist() == [
        theirs.encode_single_token("<|bos|>"),
        *theirs.encode_ordinary(text),
    ]


def test_either_kind_is_opened(written, tmp_path, monkeypatch):
    monkeypatch.setattr(os, "fsync", lambda descriptor: None)
    bpe_file.save(tmp_path, small_tokenizer())
    assert open_tokenizer(tmp_path) == small_tokenizer()
    assert open_tokenizer(written(encoding())).tokens[-1] == b"ab"


def damaged(**state):
    """An encoding whose pickle holds another state than its own."""
    made = encoding()
    vars(made).update(state)
    return made


class Harm:
    def __reduce__(self):
        return os.mkdir, ("harm",)


@pytest.mark.parametrize(
    ("value", "fault"),
    [
        (Harm(), r"refused, the pickle asks for (posix|nt)\.mkdir"),
        (damaged(_pat_str=Harm()), r"refused, the pickle asks for (posix|nt)\.mkdir"),
        (damaged(_pat_str=3), r"holds no encoder of nanochat \(Expected `str`"),
        (damaged(_pat_str="("), "holds no encoder of nanochat"),
        (damaged(_mergeable_ranks={b"ab": "x"}), "holds no encoder of nanochat"),
        (damaged(_mergeable_ranks={**RANKS, b"ab": 300}), "the ids of its tokens are not 0, 1, 2"),
        (damaged(_mergeable_ranks={**RANKS, b"ab": 3}), "the ids of its tokens are not 0, 1, 2"),
        (damaged(_mergeable_ranks={b"ab": 0}), "single bytes"),
        (damaged(_special_tokens={"<|endoftext|>": 257}), "its special tokens are not <\\|bos\\|>, "),
        (damaged(_special_tokens={name: index for index, name in enumerate(SPECIALS)}), "after the other tokens"),
        ({"name": "rustbpe"}, "holds no encoder"),
        ("gpt2", "holds no encoder"),
        (None, "holds no encoder"),
    ],
)
def test_what_is_wrong_with_a_pickle_is_told(written, value, fault, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    path = written(value)
    with pytest.raises(CheckpointError, match=fault) as caught:
        read_upstream_tokenizer(path)
    assert str(caught.value).startswith(str(path))
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "harm").exists()


def test_a_file_that_is_cut_or_not_there(written, tmp_path):
    path = written(encoding())
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(CheckpointError, match="damaged pickle"):
        read_upstream_tokenizer(path)
    with pytest.raises(CheckpointError, match="cannot read the tokenizer: No such file"):
        open_tokenizer(tmp_path / "missing.pkl")
