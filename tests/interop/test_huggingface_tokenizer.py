"""tokenizer.json: ours comes back with the same ids, and another kind of tokenizer is refused."""

import json
import os

import pytest

from nanochat_np.errors import CheckpointError
from nanochat_np.interop.huggingface_tokenizer import read_huggingface_tokenizer, write_huggingface_tokenizer
from nanochat_np.interop.upstream_tokenizer import open_tokenizer
from nanochat_np.text.huggingface import tokenizer_json
from tests.interop.models import TOKENIZER
from tests.text.vocabulary import small_tokenizer


@pytest.fixture
def path(tmp_path, monkeypatch):
    monkeypatch.setattr(os, "fsync", lambda descriptor: None)
    write_huggingface_tokenizer(tmp_path, TOKENIZER, 256)
    return tmp_path / "tokenizer.json"


def test_a_tokenizer_survives_the_round_trip(path):
    assert read_huggingface_tokenizer(path) == TOKENIZER
    path.write_bytes(tokenizer_json(small_tokenizer()))
    assert read_huggingface_tokenizer(path) == small_tokenizer()
    assert open_tokenizer(path) == open_tokenizer(path.parent) == small_tokenizer()


def test_the_files_that_their_classes_read(path):
    settings = json.loads((path.parent / "tokenizer_config.json").read_text())
    assert settings["tokenizer_class"] == "PreTrainedTokenizerFast"
    assert settings["model_max_length"] == 256
    assert settings["bos_token"] == settings["pad_token"] == "<|bos|>"
    generation = json.loads((path.parent / "generation_config.json").read_text())
    assert generation == {"bos_token_id": 262, "eos_token_id": [262, 266], "pad_token_id": 262}


def test_other_spellings_of_the_same(path):
    content = json.loads(path.read_text())
    content["model"]["merges"] = [merge.split(" ") for merge in content["model"]["merges"]]  # as newer versions write
    content["pre_tokenizer"]["pretokenizers"][1]["trim_offsets"] = False
    for added in content["added_tokens"]:
        del content["model"]["vocab"][added["content"]]
    path.write_text(json.dumps(content))
    assert read_huggingface_tokenizer(path) == TOKENIZER


def edit(*keys, value):
    def change(content):
        for key in keys[:-1]:
            content = content[key]
        content[keys[-1]] = value

    return change


def swap(content):
    vocabulary = content["model"]["vocab"]
    vocabulary["A"], vocabulary["B"] = vocabulary["B"], vocabulary["A"]


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        (edit("model", value=None), "TypeError"),
        (edit("model", "vocab", value={"a": 0}), "single bytes"),
        (swap, "its tokens are others"),
        (edit("model", "vocab", "zz", value=999), "its tokens are others"),
        (edit("model", "vocab", "☃", value=999), "KeyError"),
        (edit("model", "merges", value=["a b"]), "its merges are others"),
        (edit("pre_tokenizer", value={"type": "ByteLevel"}), "pretokenizers"),
        (edit("pre_tokenizer", "pretokenizers", 1, "use_regex", value=True), "its cuts are others"),
        (edit("pre_tokenizer", "pretokenizers", 0, "pattern", "Regex", value=3), "TypeError"),
        (edit("pre_tokenizer", "pretokenizers", 0, "pattern", "Regex", value="("), "ValueError"),
        (edit("normalizer", value={"type": "NFC"}), "its cuts are others"),
        (edit("added_tokens", 0, "content", value="<s>"), "its special tokens are others"),
        (edit("added_tokens", value=[]), "its special tokens are others"),
    ],
)
def test_another_kind_is_refused(path, change, fault):
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content))
    with pytest.raises(CheckpointError, match=f"no tokenizer of nanochat's kind .*({fault})") as caught:
        read_huggingface_tokenizer(path)
    assert str(caught.value).startswith(str(path))


def test_no_json_and_no_file(path):
    path.write_text("{")
    with pytest.raises(CheckpointError, match="no tokenizer of nanochat's kind"):
        read_huggingface_tokenizer(path)
    path.unlink()
    with pytest.raises(CheckpointError, match="holds no tokenizer, which would be bpe"):
        open_tokenizer(path.parent)
