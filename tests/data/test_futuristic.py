import math

import numpy as np

from nanochat_np.data.futuristic import TEXT, WORDS, transition_bias
from nanochat_np.text.character import BOS, CharTokenizer


def favoured(tokenizer):
    """Pairs of printable tokens that the bias raises; BOS is '^'."""
    bias = transition_bias(tokenizer)
    assert bias.dtype == np.float64
    assert bias.shape == (tokenizer.vocab_size, tokenizer.vocab_size)
    assert set(np.unique(bias)) <= {0.0, math.log(4)}
    names = "^" + tokenizer.characters
    return {names[previous] + names[following] for previous, following in np.argwhere(bias)}


def test_the_transitions_of_a_word_and_its_start_are_favoured():
    assert favoured(CharTokenizer.from_text("neon")) == {"^n", "ne", "eo", "on"}
    assert favoured(CharTokenizer.from_text("neon\n")) == {"^n", "\nn", "ne", "eo", "on"}


def test_a_word_is_skipped_if_a_character_of_it_is_unknown():
    quantum_and_neon = {"^n", "ne", "eo", "on", "^q", "qu", "ua", "an", "nt", "tu", "um"}
    assert favoured(CharTokenizer.from_text("neo quatm")) == quantum_and_neon
    assert favoured(CharTokenizer.from_text("xyz\n")) == set()


def test_the_eight_words_are_in_the_text():
    assert set(WORDS) == {
        *("neon", "quantum", "neural", "orbital", "reactor", "wormhole", "autonomous", "synthetic"),
    }
    tokenizer = CharTokenizer.from_text(TEXT)
    pairs = {word[i : i + 2] for word in WORDS for i in range(len(word) - 1)}
    starts = {start + word[0] for word in WORDS for start in "^\n"}
    assert favoured(tokenizer) == pairs | starts
    assert not transition_bias(tokenizer)[:, BOS].any()
    assert all(word in TEXT.lower() for word in WORDS)


def test_the_text_is_plain_ascii_in_short_lines():
    lines = TEXT.splitlines()
    assert TEXT.isascii()
    assert 35 <= len(lines) <= 45
    assert max(map(len, lines)) < 80
