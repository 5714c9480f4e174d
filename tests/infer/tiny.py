"""A GPT of 265 tokens, the bytes and the special ones, that has learnt nothing."""

import numpy as np

from nanochat_np.backend.device import Device
from nanochat_np.backend.random import stream
from nanochat_np.infer.gpt_engine import GPTEngine
from nanochat_np.nn.gpt_config import GPTConfig, initial
from nanochat_np.text.bpe import BYTES, BpeTokenizer

TOKENIZER = BpeTokenizer(BYTES)
CONFIG = GPTConfig(sequence_len=24, vocab_size=TOKENIZER.vocab_size, n_layer=2, n_head=2, n_kv_head=1, n_embd=24)


def weights(dtype="float64"):
    """None is 0, and the head says something about each token."""
    rng = stream(1, "test")
    values = initial(CONFIG, rng)
    return {name: (value + 0.2 * rng.standard_normal(value.shape)).astype(dtype) for name, value in values.items()}


def engine(slots=3):
    return GPTEngine(CONFIG, weights(), TOKENIZER, Device(), slots=slots)


class Scripted:
    """In the place of an engine: after a text that begins with byte b it spells ``script[b]``, from wherever it is."""

    config, tokenizer = CONFIG, TOKENIZER

    def __init__(self, script, slots=2):
        self.slots, self._script = slots, script
        self.texts = [[] for _ in range(slots)]
        self.read = []  # the parts that were read, in order

    def begin(self, slot):
        self.texts[slot] = []

    def length(self, slot):
        return len(self.texts[slot])

    def copy(self, source, target):
        self.texts[target] = list(self.texts[source])

    def extend(self, slot, tokens):
        self.read.append(list(tokens))
        self.texts[slot] += tokens
        return self._logits(self.texts[slot])

    def step(self, slots, tokens):
        for slot, token in zip(slots, tokens, strict=True):
            self.texts[slot].append(token)
        return np.stack([self._logits(self.texts[slot]) for slot in slots])

    def _logits(self, text):
        spelled = self._script[text[0]]
        prompt = next(size for size in range(1, len(text) + 1) if text[size:] == spelled[: len(text) - size])
        logits = np.zeros(CONFIG.vocab_size)
        logits[spelled[len(text) - prompt]] = 30.0
        return logits
