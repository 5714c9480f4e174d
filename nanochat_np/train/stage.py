"""What the training loop asks of a stage: a model, its data and its schedule, which know nothing of the loop."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import msgspec
import numpy as np

from nanochat_np.errors import RunError
from nanochat_np.evaluate.bits import Validation
from nanochat_np.train.checkpoint import Checkpoint
from nanochat_np.train.measurement import Measurement


class Pace(msgspec.Struct, frozen=True, kw_only=True):
    """How long a run goes on, and after how many steps something happens; 0 is never but at the end."""

    steps: int
    eval_every: int
    save_every: int
    sample_every: int = 0
    keep: int = 0  # checkpoints; 0 is all
    memory_guard_ratio: float
    memory_guard_window: int


class Steps(NamedTuple):
    """What K steps brought: mean loss of each batch before its update and gradient norm before clipping, (K,) float64.

    ``events`` has what else the log says of each step, ``shown`` what else the display says of the last.
    """

    losses: np.ndarray
    norms: np.ndarray
    events: list[dict[str, Any]]
    shown: dict[str, float | str]


class Stage(Protocol):
    """What is trained."""

    tokens_per_step: int
    remedy: str  # what to do where numbers do not stay finite
    measurements: Sequence[Measurement]

    def advance(self, first_step: int, count: int) -> Steps:
        """Take ``count`` steps, the first of them number ``first_step`` (counted from 0)."""

    def restore(self, found: Checkpoint) -> None:
        """Stand where a checkpoint was saved.  Raises CheckpointError, DataError, ConfigError where it does not fit."""

    def checkpoint(self, step: int, train_seconds: float, recent_losses: list[float]) -> Checkpoint:
        """What `restore` needs.  Raises NotFinite where a parameter is not finite."""

    def validate(self, saved: Path | None, observe: Callable[[], None]) -> Validation:
        """Loss on text that is not trained on, of the weights in the file ``saved`` or else of those in memory.

        ``observe`` is called after each batch.
        """

    def samples(self) -> list[tuple[str, str]]:
        """Prompts, and what the model makes of each."""


class NotFinite(RunError):
    """Something in training became NaN or infinite; the message names it."""
