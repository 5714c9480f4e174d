import math

import numpy as np
import pytest

from nanochat_np.backend import Device
from nanochat_np.errors import ConfigError, PromptTooLong
from nanochat_np.infer.engine import Engine
from nanochat_np.infer.sampler import greedy
from nanochat_np.infer.text import continue_text, prompt_context
from nanochat_np.nn.model import architecture, views
from nanochat_np.text.character import BOS, CharTokenizer, UnknownCharacter
from tests.nn.networks import bigram, mini_gpt, parameters

LINES = CharTokenizer("\nabcd")  # \n is token 1, a is 2
NO_LINES = CharTokenizer("abcd")
WINDOW = mini_gpt(True, True, vocab_size=6, block_size=4)


def test_text_starts_as_a_line_does():
    assert prompt_context(WINDOW, LINES, "") == [1]
    assert prompt_context(WINDOW, LINES, "ab") == [1, 2, 3]
    assert prompt_context(WINDOW, NO_LINES, "ab") == [BOS, 1, 2]


def test_a_prompt_fills_the_window_but_for_its_start():
    assert prompt_context(WINDOW, LINES, "abc") == [1, 2, 3, 4]
    with pytest.raises(PromptTooLong, match="--prompt has 4 tokens, this model takes at most 3") as caught:
        prompt_context(WINDOW, LINES, "abcd")
    assert (caught.value.prompt_tokens, caught.value.max_prompt_tokens) == (4, 3)
    assert isinstance(caught.value, ConfigError)


def test_truncation_keeps_the_end():
    assert prompt_context(WINDOW, LINES, "ddabcd", truncate=True) == [2, 3, 4, 5]
    assert prompt_context(WINDOW, LINES, "ab", truncate=True) == [1, 2, 3]


def test_any_prompt_fits_a_bigram():
    assert prompt_context(bigram(True, True, vocab_size=6), LINES, "abcdabcd") == [5]
    assert prompt_context(bigram(True, True, vocab_size=6), LINES, "") == [1]


def test_unknown_characters_of_a_prompt():
    with pytest.raises(UnknownCharacter, match="'Z'"):
        prompt_context(WINDOW, LINES, "aZ")


def engine_of(config):
    return Engine(config, views(parameters(config), architecture(config.kind).shapes(config)), Device())


def test_continues_character_by_character():
    characters = list(continue_text(engine_of(WINDOW), LINES, "classic", "ab", 7, greedy))
    assert len(characters) == 7
    tokens = engine_of(WINDOW).generate([1, 2, 3], 7, greedy)
    assert LINES.encode("".join(characters)).tolist() == list(tokens)


def test_a_wrong_prompt_is_told_at_once():
    with pytest.raises(PromptTooLong):
        continue_text(engine_of(WINDOW), LINES, "classic", "abcd", 7, greedy)  # before a character is asked for


def test_futuristic_bigrams_favour_the_transitions_of_their_words():
    tokenizer = CharTokenizer("\nenox")
    n, e, x = (int(tokenizer.encode(c)[0]) for c in "nex")

    def logits(config, style):
        seen = []

        def draw(z):
            seen.append(np.where(z == -np.inf, 0, z))
            return greedy(z)

        list(continue_text(engine_of(config), tokenizer, style, "n", 1, draw))
        return seen[0]

    table = bigram(False, True, vocab_size=6)
    shift = logits(table, "futuristic") - logits(table, "classic")
    assert shift[e] == pytest.approx(math.log(4))  # "ne" is in "neon": fourfold odds
    assert shift[x] == shift[n] == 0
    network = mini_gpt(True, True, vocab_size=6)
    np.testing.assert_array_equal(logits(network, "futuristic"), logits(network, "classic"))
