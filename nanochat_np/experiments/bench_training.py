"""Speed of training steps: the cases, and each one's trainer with its first call."""

import importlib.util
import os
import time
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from nanochat_np.backend.device import Device
from nanochat_np.config import TrainConfig
from nanochat_np.data.batches import window_starts
from nanochat_np.data.corpus import load_corpus
from nanochat_np.experiments.python_autograd import Value, bigram_step
from nanochat_np.experiments.timing import Work
from nanochat_np.text.character import BOS, CharTokenizer
from nanochat_np.train.run import model_config
from nanochat_np.train.trainer import Trainer, initial_parameters, make_trainer

ALPHABET = "abcdefghijklmnopqrstuvwxyz"  # with BOS V = 27, as in the peer's figures
SEED = 1337
SCALAR_MINI_GPT, SCALAR_BIGRAM = "mini-gpt on the tape, AdamW", "bigram on the tape, SGD"
MINI_GPT, LARGER_MINI_GPT = "mini-gpt 1x16, block 8, batch 32", "mini-gpt 2x64, block 64, batch 32"


class Case(msgspec.Struct, frozen=True, kw_only=True):
    """What is trained; ``peer_seconds``, where there are such figures, is the peer's step at its best and its worst."""

    name: str
    config: TrainConfig
    peer_seconds: tuple[float, float] | None = None


def cases(device: Device) -> list[Case]:
    """The cases for a device; the tape is for the CPU alone."""
    common: dict[str, Any] = {"device": device.name, "seed": SEED}
    # The peer's default variant, and its batch of one.
    peer = common | {"batch_size": 1, "tie_lm_head": True, "input_rmsnorm": False}
    scalar = peer | {"mode": "scalar", "device": "cpu"}
    on_tape = [
        Case(
            name=SCALAR_MINI_GPT,
            config=TrainConfig(**scalar, model_kind="mini-gpt").resolved(),
            peer_seconds=(11.5e-3, 13e-3),
        ),
        Case(
            name=SCALAR_BIGRAM,
            config=TrainConfig(**scalar, model_kind="bigram", optimizer="sgd").resolved(),
            peer_seconds=(0.15e-3, 0.2e-3),
        ),
    ]
    bigram = common | {"model_kind": "bigram", "batch_size": 8192}
    larger = common | {"n_layer": 2, "n_embd": 64, "block_size": 64}
    with_arrays = [
        Case(
            name="bigram, batch 1, SGD",
            config=TrainConfig(**peer, model_kind="bigram", optimizer="sgd", dtype="float64").resolved(),
            peer_seconds=(1 / 1.16e6, 1 / 1.16e6),
        ),
        Case(name="bigram, batch 8192, SGD", config=TrainConfig(**bigram, optimizer="sgd").resolved()),
        Case(name="bigram, batch 8192, AdamW", config=TrainConfig(**bigram).resolved()),
        Case(name=MINI_GPT, config=TrainConfig(**common).resolved()),
        Case(name=LARGER_MINI_GPT, config=TrainConfig(**larger).resolved()),
    ]
    return with_arrays if device.index is not None else on_tape + with_arrays


class Training:
    """A case ready to run: ``first_call_seconds`` went into recording a tape and compiling (or loading) its loops."""

    def __init__(self, case: Case, tokens: np.ndarray, device: Device) -> None:
        self.case, self._n_tokens, self._device = case, len(tokens), device
        config = case.config
        begin, kept = time.perf_counter(), _compiled_files()
        self.trainer: Trainer = make_trainer(
            config, model_config(config, len(ALPHABET) + 1), config.seed, tokens, device
        )
        self.trainer.warm_up(config.batch_size)
        self.first_call_seconds = time.perf_counter() - begin
        self.compiled = _compiled_files() > kept
        self._step = 0

    def advance(self, count: int) -> float:
        """Take steps; returns their seconds as a training run counts them, all results on the host."""
        config, block_size = self.case.config, self.trainer.config.block_size
        starts = window_starts(config.seed, self._step, count, config.batch_size, self._n_tokens, block_size)
        lrs = np.full(count, config.lr)
        begin = time.perf_counter()
        self.trainer.advance(self._step, starts, lrs)
        self._device.synchronize()
        self._step += count
        return time.perf_counter() - begin

    def nodes(self) -> int | None:
        """Nodes of the tape that a window replays."""
        if self.case.config.mode != "scalar":
            return None
        from nanochat_np.train.scalar import record

        return len(record(self.trainer.config).graph.a)


def text_tokens(characters: int = 100_000) -> np.ndarray:
    """Generated stories reduced to 26 letters, BOS before each: (n,) int32, the same everywhere."""
    encode = CharTokenizer(ALPHABET).encode
    stories = load_corpus(f"stories:{characters}").documents
    letters = ("".join(filter(ALPHABET.__contains__, story.lower())) for story in stories)
    return np.concatenate([piece for text in letters for piece in (np.array([BOS], np.int32), encode(text))])


def python_steps(case: Case, tokens: np.ndarray) -> Work:
    """The bigram case on plain Python objects: the same model from the same parameters on the same pairs."""
    config = case.config
    assert config.lr is not None  # resolved
    vocab_size, lr = len(ALPHABET) + 1, config.lr
    p = initial_parameters(model_config(config, vocab_size), config.seed).reshape(vocab_size, vocab_size)
    table = [[Value(weight) for weight in row] for row in p.tolist()]

    def work(count: int) -> float:
        starts = window_starts(config.seed, 0, count, 1, len(tokens), 1)[:, 0]
        pairs = list(zip(tokens[starts].tolist(), tokens[starts + 1].tolist(), strict=True))
        begin = time.perf_counter()
        for context, target in pairs:
            bigram_step(table, context, target, lr)
        return time.perf_counter() - begin

    return work


def _compiled_files() -> int:
    """How many compiled functions are kept on the disk; one more is one that had to be compiled."""
    if importlib.util.find_spec("numba") is None:  # a GPU does without
        return 0
    from nanochat_np.backend import jit  # noqa: F401, chooses the folder

    return len(list(Path(os.environ["NUMBA_CACHE_DIR"]).rglob("*.nbc")))
