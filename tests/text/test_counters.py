import time

import pytest
import tiktoken

from nanochat_np.text import counters as module
from nanochat_np.text.bpe import BYTES
from nanochat_np.text.counters import counters
from tests.text.vocabulary import small_tokenizer


def test_each_counts_the_tokens_of_a_text(monkeypatch):
    pairs = {bytes([value]): rank for rank, value in enumerate(b"ab")} | {b"ab": 2}
    encoding = tiktoken.Encoding("pairs", pat_str=r"\w+|\W+", mergeable_ranks=pairs, special_tokens={})
    monkeypatch.setattr(tiktoken, "get_encoding", {"gpt2": encoding, "cl100k_base": encoding}.__getitem__)
    counts = counters(small_tokenizer())
    assert list(counts) == ["this", "GPT-2", "GPT-4", "bytes"]
    assert counts["GPT-2"]("ababb") == counts["GPT-4"]("ababb") == 3
    assert counts["bytes"]("é") == 2
    assert counts["this"]("there was") == small_tokenizer().encode("there was").size < len(BYTES)


@pytest.mark.parametrize("error", [ConnectionError, ValueError])
def test_one_that_cannot_be_had_is_none(monkeypatch, error):
    def fail(name):
        raise error

    monkeypatch.setattr(tiktoken, "get_encoding", fail)
    counts = counters(small_tokenizer())
    assert counts["GPT-2"] is counts["GPT-4"] is None
    assert counts["bytes"]("abc") == 3


def test_a_server_that_says_nothing_is_not_waited_for(monkeypatch):
    monkeypatch.setattr(module, "SECONDS", 0.01)
    monkeypatch.setattr(tiktoken, "get_encoding", lambda name: time.sleep(0.2))
    assert counters(small_tokenizer())["GPT-4"] is None
