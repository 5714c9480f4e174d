import json
import os

import pytest

from nanochat_np.errors import CheckpointError
from nanochat_np.text import bpe_file
from nanochat_np.text.bpe import BYTES, BpeTokenizer
from tests.text.vocabulary import small_tokenizer


@pytest.fixture(autouse=True)
def _wait_for_no_disk(monkeypatch):
    monkeypatch.setattr(os, "fsync", lambda descriptor: None)


def test_what_is_saved_is_loaded(tmp_path):
    tokenizer = small_tokenizer()
    bpe_file.save(tmp_path / "new" / "folder", tokenizer)
    assert sorted(path.name for path in (tmp_path / "new" / "folder").iterdir()) == ["bpe.json", "tokenizer.json"]
    for path in (tmp_path / "new" / "folder", tmp_path / "new" / "folder" / "bpe.json"):
        loaded = bpe_file.load(path)
        assert loaded == tokenizer
        assert loaded.fingerprint == tokenizer.fingerprint


def test_any_bytes_and_any_pattern_are_kept(tmp_path):
    tokenizer = BpeTokenizer((*BYTES, b"\xff\x00", b'"\\', b"\xe2\x80", "\u2028".encode()), pattern=r"[é\"\\]|\s+")
    bpe_file.save(tmp_path, tokenizer)
    assert bpe_file.load(tmp_path) == tokenizer


def test_the_file_can_be_read_by_people(tmp_path):
    bpe_file.save(tmp_path, small_tokenizer())
    content = json.loads((tmp_path / "bpe.json").read_text(encoding="utf-8"))
    assert list(content) == ["format", "type", "fingerprint", "pattern", "special_tokens", "tokens"]
    assert content["format"] == 1
    assert content["special_tokens"][0] == "<|bos|>"
    assert " the" in content["tokens"]
    assert content["tokens"][255] == "ÿ"


def changed(**values):
    def change(text):
        return json.dumps(json.loads(text) | values)

    return change


def less_a_token(text):
    content = json.loads(text)
    content["tokens"].pop()
    return json.dumps(content)


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        (lambda text: text[: len(text) // 2], "is no tokenizer"),
        (lambda text: "", "is no tokenizer"),
        (lambda text: "[]", "is no tokenizer"),
        (lambda text: '{"version": "1.0"}', "is no tokenizer"),
        (changed(format=2, tokens="of a new kind"), "format 2 is newer than this program's 1: update"),
        (changed(tokens=["a", "b"]), "the first 256 tokens"),
        (changed(tokens=["☃"]), "is no tokenizer"),
        (changed(pattern=r"\s+"), "damaged"),
        (less_a_token, "damaged"),
        (changed(special_tokens=["<|endoftext|>"]), r"its special tokens are not this program's: <\|endoftext\|>"),
    ],
)
def test_what_is_wrong_with_a_file_is_told(tmp_path, change, fault):
    bpe_file.save(tmp_path, small_tokenizer())
    path = tmp_path / "bpe.json"
    path.write_text(change(path.read_text(encoding="utf-8")), encoding="utf-8")
    with pytest.raises(CheckpointError, match=fault) as caught:
        bpe_file.load(tmp_path)
    assert str(caught.value).startswith(f"{path}: ")
    assert "\n" not in str(caught.value)


def test_a_file_that_is_not_text_or_not_there(tmp_path):
    (tmp_path / "bpe.json").write_bytes(b'{"format": 1, "type": "\xff"}')
    with pytest.raises(CheckpointError, match="is no tokenizer"):
        bpe_file.load(tmp_path)
    with pytest.raises(CheckpointError, match=r"cannot read the tokenizer: No such file .*missing"):
        bpe_file.load(tmp_path / "missing")


def test_a_disk_that_is_full_leaves_what_was_there(tmp_path, monkeypatch):
    bpe_file.save(tmp_path, small_tokenizer())
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}

    def full(descriptor):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space"):
        bpe_file.save(tmp_path, BpeTokenizer(BYTES))
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before
