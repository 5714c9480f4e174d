"""For tests of commands that write with a GPT: a checkpoint of one, and a stand-in that says what a test wants."""

from pathlib import Path
from types import SimpleNamespace

import numpy as np

from nanochat_np.backend.device import Device
from nanochat_np.commands import writing
from nanochat_np.text import bpe_file, special
from nanochat_np.train import checkpoint
from nanochat_np.train.checkpoint import Checkpoint
from nanochat_np.train.meta import GPTMeta
from tests.infer.tiny import CONFIG, TOKENIZER, weights

ID = TOKENIZER.special_ids
END = ID[special.ASSISTANT_END]


def save_gpt(run: str) -> Path:
    """A run with a checkpoint of step 7 of a GPT with a context of 24 bytes."""
    meta = GPTMeta(
        step=7, dtype="float32", train_seconds=0, stage="pretrain", model=CONFIG, tokenizer=TOKENIZER.fingerprint
    )
    texts = {bpe_file.NAME: bpe_file.encoded(TOKENIZER)}
    path = Path(run) / "checkpoints"
    return checkpoint.save(path, Checkpoint(meta=meta, weights=weights("float32"), state={}, texts=texts))


def call_of_the_tool(expression: str) -> list[int]:
    return [ID[special.PYTHON_START], *expression.encode(), ID[special.PYTHON_END]]


class Assistant:
    """In the place of an engine: ``say`` makes ids of a prompt's text, in which special tokens stand by name.

    ``watch`` is called before each token with what was written so far; ``prompts`` are those that came.
    """

    tokenizer, device = TOKENIZER, Device()

    def __init__(self, say, slots=1, sequence_len=400, watch=lambda written: None):
        self.config = SimpleNamespace(sequence_len=sequence_len)
        self.slots, self._say, self._watch = slots, say, watch
        self._texts = [[] for _ in range(slots)]
        self._begins = [0] * slots  # of the answers
        self.prompts = []

    def begin(self, slot):
        self._texts[slot] = []

    def copy(self, source, target):
        self._texts[target], self._begins[target] = list(self._texts[source]), self._begins[source]

    def extend(self, slot, tokens):
        self._texts[slot] += tokens
        self._begins[slot] = len(self._texts[slot])
        self.prompts.append(TOKENIZER.decode(self._texts[slot]))
        return self._logits(slot)

    def step(self, slots, tokens):
        for slot, token in zip(slots, tokens, strict=True):
            self._texts[slot].append(token)
        return np.stack([self._logits(slot) for slot in slots])

    def _logits(self, slot):
        text, begin = self._texts[slot], self._begins[slot]
        written = text[begin:]
        self._watch(written)
        logits = np.zeros(TOKENIZER.vocab_size)
        logits[[*self._say(TOKENIZER.decode(text[:begin])), END][len(written)]] = 50.0
        return logits


def stand_in(monkeypatch, assistant, stage="sft"):
    """Let the commands open ``assistant`` whatever the checkpoint is."""
    opened = writing.Opened(
        assistant, SimpleNamespace(stage=stage, step=7, converses=stage != "pretrain"), Path("there")
    )
    monkeypatch.setattr("nanochat_np.commands.infer.opened", lambda config, slots: opened)
    monkeypatch.setattr("nanochat_np.commands.chat.opened", lambda config, slots: opened)
    return assistant
