"""In the place of an engine and a predictor: models whose answers are known."""

import re

import numpy as np

from nanochat_np.nn.gpt_config import GPTConfig
from nanochat_np.text import special
from nanochat_np.text.bpe import BYTES, BpeTokenizer

TOKENIZER = BpeTokenizer(BYTES)
SPECIAL = TOKENIZER.special_ids
CONFIG = GPTConfig(sequence_len=256, vocab_size=TOKENIZER.vocab_size, n_layer=1, n_head=2, n_kv_head=1, n_embd=24)


def ids(text):
    """Tokens of a text, in which the names of special tokens are meant as such."""
    parts = re.split(r"(<\|\w+\|>)", text)
    return [token for part in parts for token in ([SPECIAL[part]] if part in SPECIAL else part.encode())]


class Answering:
    """After a question of the user it writes what ``answers`` has for it, and ends."""

    config, tokenizer, slots = CONFIG, TOKENIZER, 2

    def __init__(self, answers):
        self._answers = answers
        self._texts = [[] for _ in range(self.slots)]

    def begin(self, slot):
        self._texts[slot] = []

    def copy(self, source, target):
        self._texts[target] = list(self._texts[source])

    def extend(self, slot, tokens):
        self._texts[slot] += tokens
        return self._logits(self._texts[slot])

    def step(self, slots, tokens):
        for slot, token in zip(slots, tokens, strict=True):
            self._texts[slot].append(token)
        return np.stack([self._logits(self._texts[slot]) for slot in slots])

    def _logits(self, text):
        logits = np.zeros(CONFIG.vocab_size)
        if SPECIAL[special.ASSISTANT_START] in text:
            where = text.index(SPECIAL[special.ASSISTANT_START])
            question = TOKENIZER.decode(text[2 : where - 1])
            spelled = [*ids(self._answers[question]), SPECIAL[special.ASSISTANT_END]]
            logits[spelled[len(text) - where - 1]] = 30.0
        return logits


class Expecting:
    """In the place of a predictor: of the token after a text that ends with ``text`` it expects ``expected[text]``."""

    config = CONFIG

    def __init__(self, expected, strength=5.0):
        self._expected, self._strength = expected, strength

    def logits(self, texts, wanted):
        return [
            np.stack([self._row(text[:place]) for place in range(*each)]) if each[0] < each[1] else np.empty((0, 265))
            for text, each in zip(texts, wanted, strict=True)
        ]

    def _row(self, before):
        logits = np.zeros(CONFIG.vocab_size)
        text = TOKENIZER.decode(before)
        for ending, token in self._expected.items():
            if text.endswith(ending):
                logits[ord(token)] = self._strength
        return logits
