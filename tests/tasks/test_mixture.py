"""Mixtures: shares, epochs, what is held out of a file, and what is refused."""

import json
from collections import Counter

import pytest

from nanochat_np.errors import ConfigError, DataError
from nanochat_np.tasks.generated import GENERATED, conversation
from nanochat_np.tasks.mixture import VALIDATION_STRIDE, open_mixtures


@pytest.fixture
def file(tmp_path, monkeypatch):
    """``chats.jsonl`` with so many conversations, whose question is their number."""
    monkeypatch.chdir(tmp_path)

    def write(count, name="chats.jsonl"):
        lines = [json.dumps({"prompt": str(i), "completion": "x"}) for i in range(count)]
        (tmp_path / name).write_text("\n".join(lines))
        return name

    return write


def drawn(mixture, count):
    """Number of the source and conversation of the first so many."""
    counts, found = [0] * len(mixture.sources), []
    for _ in range(count):
        source = mixture.next(counts)
        found.append((source, mixture.sources[source].conversation(counts[source])))
        counts[source] += 1
    return found, counts


def asked(talks):
    return [talk.messages[0].content for talk in talks]


def test_shares_are_kept_at_every_time(file):
    mixture = open_mixtures(f"{file(100)}:0.5, spelling:3,counting", 1, "sft").train
    for count in (9, 90, 900):
        found, _ = drawn(mixture, count)
        shares = Counter(source for source, _ in found)
        assert all(abs(shares[i] - count * w / 4.5) <= 1 for i, w in enumerate((0.5, 3, 1)))


def test_a_small_file_comes_again_and_again(file):
    mixture = open_mixtures(file(41), 7, "sft").train
    talks = [asked([talk])[0] for _, talk in drawn(mixture, 3 * 38)[0]]
    epochs = [talks[:38], talks[38:76], talks[76:]]
    held_out = {"0", "20", "40"}
    assert all(set(epoch) == {str(i) for i in range(41)} - held_out for epoch in epochs)
    assert epochs[0] != epochs[1] != epochs[2] != sorted(epochs[0], key=int)
    assert asked(open_mixtures("chats.jsonl", 7, "sft").validation.sources[0].conversations) == ["0", "20", "40"]
    assert [mixture.epoch([count]) for count in (0, 38, 39, 77)] == [1, 1, 2, 3]
    again = open_mixtures("chats.jsonl", 7, "sft").train
    assert asked(talk for _, talk in drawn(again, 38)[0]) == epochs[0]
    assert asked(talk for _, talk in drawn(open_mixtures("chats.jsonl", 8, "sft").train, 38)[0]) != epochs[0]
    assert VALIDATION_STRIDE == 20


def test_no_two_stages_or_seeds_see_the_same_generated_items():
    cases = [(1, "sft"), (1, "midtrain"), (2, "sft")]
    first = [asked([open_mixtures("counting", *case).train.sources[0].conversation(0)])[0] for case in cases]
    assert len(set(first)) == 3
    validation = open_mixtures(GENERATED, 1, "sft").validation.sources[0]
    assert validation.conversation(5) == conversation(GENERATED, "test", 5)


BAD = {
    "genrated": (DataError, "did you mean generated?"),
    "": (DataError, "no such file or folder"),
    "spelling:0": (ConfigError, "--data spelling:0: the share must be a number above 0"),
    "spelling:nan": (ConfigError, "above 0"),
    "spelling:much": (ConfigError, "after the colon comes the share"),
    "spelling,counting,spelling:2": (ConfigError, "spelling is named twice"),
}


@pytest.mark.parametrize("spec", BAD)
def test_what_is_refused(spec):
    kind, words = BAD[spec]
    with pytest.raises(kind) as caught:
        open_mixtures(spec, 1, "sft")
    assert words in str(caught.value)


def test_one_conversation_is_too_few(file):
    with pytest.raises(DataError, match="has one conversation"):
        open_mixtures(file(1), 1, "sft")
