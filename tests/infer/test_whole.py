"""Text from a GPT, each token from all before it."""

import numpy as np
import pytest

from nanochat_np.backend.device import Device
from nanochat_np.backend.random import stream
from nanochat_np.errors import PromptTooLong
from nanochat_np.infer.sampler import greedy
from nanochat_np.infer.whole import continue_prompt, generate
from nanochat_np.nn import gpt
from nanochat_np.nn.gpt_config import GPTConfig, initial
from nanochat_np.text.bpe import BYTES, BpeTokenizer

CONFIG = GPTConfig(sequence_len=5, vocab_size=20, n_layer=2, n_head=2, n_kv_head=1, n_embd=24)


def weights():
    rng = stream(1, "test")
    return {name: value + 0.1 * rng.standard_normal(value.shape) for name, value in initial(CONFIG, rng).items()}


def test_each_token_is_the_likeliest_after_those_before():
    w = weights()
    found = list(generate(w, CONFIG, Device(), [3, 1], 7, greedy, stop=-1))
    assert len(found) == 7
    tokens = [3, 1, *found]
    for position in range(2, 9):
        context = np.array([tokens[max(0, position - 5) : position]])
        assert tokens[position] == int(np.argmax(gpt.logits(w, CONFIG, context)[0, -1]))


def test_it_stops_at_the_token_that_ends_a_document():
    w = weights()
    free = list(generate(w, CONFIG, Device(), [3], 6, greedy, stop=-1))
    stop = free[3]
    assert list(generate(w, CONFIG, Device(), [3], 6, greedy, stop=stop)) == free[: free.index(stop)]
    assert list(generate(w, CONFIG, Device(), [3], 0, greedy, stop=-1)) == []


def bytes_tokenizer():
    return BpeTokenizer(BYTES)


BYTEWISE = GPTConfig(sequence_len=5, vocab_size=265, n_layer=1, n_head=1, n_kv_head=1, n_embd=24)


def test_text_of_characters_that_take_several_tokens():
    """A sampler that spells é, €, half a character and the end."""
    w = {name: value.astype(np.float32) for name, value in initial(BYTEWISE, stream(1, "test")).items()}
    spelled = iter([*"é€".encode(), 0xC3, 256])
    pieces = list(continue_prompt(w, BYTEWISE, Device(), bytes_tokenizer(), "ab", 9, lambda logits: next(spelled)))
    assert pieces == ["", "é", "", "", "€", "", "\N{REPLACEMENT CHARACTER}"]


def test_a_prompt_that_is_too_long():
    w = initial(BYTEWISE, stream(1, "test"))
    arguments = (w, BYTEWISE, Device(), bytes_tokenizer(), "abcde", 1, greedy)
    with pytest.raises(PromptTooLong, match="5 tokens, this model takes at most 4"):
        continue_prompt(*arguments)
    short = (*arguments[:4], "bcde", 1, greedy)
    assert list(continue_prompt(*arguments, truncate=True)) == list(continue_prompt(*short))
