"""``tokenizer`` as its user meets it."""

import json
import pickle

import pytest
import tiktoken

from nanochat_np.text import bpe_file
from nanochat_np.text.samples import SAMPLES
from tests.train.lab import contents

TEXT = "the cat sat on the mat, the fat cat.\n" * 20


@pytest.fixture(autouse=True)
def _offline(monkeypatch):
    def unreachable(name):
        raise ConnectionError

    monkeypatch.setattr(tiktoken, "get_encoding", unreachable)


@pytest.fixture
def tokenizer(lab, tmp_path):
    """A call of ``tokenizer``, where one of 280 tokens lies in the usual place."""
    (tmp_path / "cats.txt").write_text(TEXT)
    result = lab("tokenizer", "train", "--data=cats.txt", "--vocab-size=280")
    assert result.code == 0, result
    return lambda *arguments: lab("tokenizer", *arguments)


def test_training_writes_files_and_tells_what_was_learnt(tokenizer, tmp_path):
    result = tokenizer("train", "--data=cats.txt", "--vocab-size=279", "--out=mine")
    assert "279 tokens from 740 characters of cats.txt" in result.out
    assert "' the'" in result.out
    assert "files   mine" in result.out
    assert result.err == ""
    assert sorted(contents(tmp_path / "mine")) == ["bpe.json", "summary.json", "tokenizer.json"]
    summary = json.loads((tmp_path / "mine" / "summary.json").read_text())
    assert summary["fingerprint"] == bpe_file.load(tmp_path / "mine").fingerprint
    assert summary["vocab_size"] == 279


def test_the_summary_of_training(tokenizer, tmp_path):
    summary = tokenizer(
        "train", "--data=cats.txt", "--vocab-size=270", "--max-chars=100", "--out=mine", "--json"
    ).summary
    assert summary.pop("seconds") > 0
    assert len(summary.pop("data_sha256")) == len(summary.pop("fingerprint")) == 64
    assert summary == {
        "command": "tokenizer",
        "schema": 1,
        "action": "train",
        "data": "cats.txt",
        "characters": 100,
        "vocab_size": 270,
        "out": "mine",
    }


def test_characters_are_counted_over_all_documents(tokenizer, tmp_path):
    (tmp_path / "many").mkdir()
    for name in ("a.txt", "b.txt", "c.txt"):
        (tmp_path / "many" / name).write_text("abcdef" * 10)
    flags = ("--data=many", "--vocab-size=266", "--json")
    assert tokenizer("train", *flags, "--out=some", "--max-chars=70").summary["characters"] == 70
    assert tokenizer("train", *flags, "--out=all").summary["characters"] == 180


def test_a_text_becomes_ids_and_they_become_the_text(tokenizer, tmp_path):
    text = "the cat's <|bos|> naïve"
    encoded = tokenizer("encode", f"--text={text}")
    assert encoded.code == 0
    assert all(int(token) < 271 for token in encoded.out.split(","))
    assert tokenizer("decode", f"--ids={encoded.out.strip()}").out == text + "\n"
    (tmp_path / "story.txt").write_text(text)
    assert tokenizer("encode", "--file=story.txt").out == encoded.out
    assert tokenizer("decode", "--ids", "271,104").out == "<|bos|>h\n"
    assert tokenizer("encode", "--text=").out == "\n"


def test_the_summary_of_a_text_and_its_ids(tokenizer):
    for arguments in (("encode", "--text=hé"), ("decode", "--ids=104,195,169")):
        summary = tokenizer(*arguments, "--json").summary
        assert len(summary.pop("fingerprint")) == 64
        assert summary == {
            "command": "tokenizer",
            "schema": 1,
            "action": arguments[0],
            "tokenizer": "results/tokenizer",
            "bytes": 3,
            "tokens": 3,
            "text": "hé",
            "ids": [104, 195, 169],
        }


def test_a_comparison_where_there_is_no_network(tokenizer):
    result = tokenizer("eval", "--data=cats.txt")
    assert result.code == 0
    rows = {line.rsplit(maxsplit=5)[0]: line.split()[-4:] for line in result.out.splitlines() if "1.00" in line}
    assert list(rows) == ["cats.txt", *SAMPLES]
    assert rows["cats.txt"][1:] == ["-", "-", "1.00"]
    assert float(rows["cats.txt"][0]) > 3 > float(rows["Korean"][0]) == 1
    assert result.out.endswith("not available offline: GPT-2, GPT-4\n")


def test_a_comparison_with_others(tokenizer, monkeypatch):
    bytes_alone = {bytes([value]): value for value in range(256)}
    encoding = tiktoken.Encoding("bytes", pat_str=r"\s+|\S+", mergeable_ranks=bytes_alone, special_tokens={})
    monkeypatch.setattr(tiktoken, "get_encoding", lambda name: encoding)
    result = tokenizer("eval", "--data=cats.txt", "--max-chars=37")
    assert "not available" not in result.out
    first = tokenizer("eval", "--data=cats.txt", "--max-chars=37", "--json").summary["texts"][0]
    assert first["bytes"] == 37
    assert first["bytes_per_token"]["GPT-2"] == first["bytes_per_token"]["bytes"] == 1
    ids = tokenizer("encode", f"--text={TEXT[:37]}", "--json").summary["tokens"]
    assert first["bytes_per_token"]["this"] == 37 / ids


def test_the_tokenizer_of_upstream_is_read(tokenizer, tmp_path):
    ours = bpe_file.load(tmp_path / "results" / "tokenizer")
    ranks = {token: rank for rank, token in enumerate(ours.tokens)}
    theirs = tiktoken.Encoding("x", pat_str=ours.pattern, mergeable_ranks=ranks, special_tokens=ours.special_ids)
    (tmp_path / "tokenizer.pkl").write_bytes(pickle.dumps(theirs))
    arguments = ("encode", "--text=the cat", "--json")
    of_theirs = tokenizer(*arguments, "--tokenizer=tokenizer.pkl").summary
    assert of_theirs["ids"] == tokenizer(*arguments).summary["ids"]
    assert of_theirs["fingerprint"] == ours.fingerprint


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        ((), 1, "tokenizer needs an action: write tokenizer train, eval, encode or decode"),
        (("tokenise",), 1, "--action tokenise: expected"),
        (("encode",), 1, "give either --text or --file"),
        (("encode", "--text=a", "--file=cats.txt"), 1, "give either --text or --file"),
        (("encode", "--file=missing.txt"), 2, "--file missing.txt: cannot be read: No such file"),
        (("encode", "--text=a", "--vocab-size=300"), 1, "--vocab-size does nothing with tokenizer encode"),
        (("train", "--ids=1"), 1, "--ids does nothing with tokenizer train"),
        (("decode",), 1, "give --ids 1,2,3"),
        (("decode", "--ids=1,280"), 2, "unknown token id 280: the vocabulary goes from 0 to 279"),
        (("decode", "--ids=1", "--tokenizer=cats.txt"), 4, "cats.txt: is no tokenizer"),
        (("eval", "--tokenizer=missing"), 4, "cannot read the tokenizer: No such file"),
        (("train", "--vocab-size=264"), 1, "--vocab-size 264: expected a whole number, at least 265"),
        (("train", "--data=cats.txt", "--out=new"), 2, "too small for a vocabulary of 4096: it leads to "),
        (("train", "--data=cats.txt"), 1, "--out results/tokenizer: holds a tokenizer, which models may need"),
        (
            ("train", "--data=cats.txt", "--vocab-size=270", "--out=cats.txt/x"),
            1,
            "--out cats.txt/x: cannot be written",
        ),
    ],
)
def test_what_is_wrong_is_told(tokenizer, arguments, code, message):
    assert message in tokenizer(*arguments).error(code)
