"""What is for training and what for testing, by a rule that asks the thing itself and nothing else."""

from collections.abc import Sequence
from typing import TypeVar
from zlib import crc32

from nanochat_np.backend.random import Draws
from nanochat_np.tasks.item import Split

T = TypeVar("T")
ONE_IN = 8


def is_held_out(text: str) -> bool:
    """Whether a word, or an expression, is never trained: one in eight is, by its checksum."""
    return crc32(text.encode()) % ONE_IN == 0


def template(draws: Draws, split: Split, trained: Sequence[T], test_only: Sequence[T]) -> T:
    """A template that the split may use where nothing else keeps the two apart."""
    return draws.pick(trained if split == "train" else test_only)
