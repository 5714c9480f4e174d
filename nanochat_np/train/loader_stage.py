"""A stage that trains on batches from a loader, which a thread makes before they are asked for."""

import abc
import contextlib
import itertools
import time
from collections.abc import Iterator
from typing import Any

import numpy as np

from nanochat_np.data.prefetch import prefetched
from nanochat_np.train.gpt_stage import Batch, Batches, GPTStage, Position, Schedule

_AHEAD = 4  # batches that the loader makes before they are asked for


class LoaderStage(GPTStage):
    """A stage says what its batches are, besides what `gpt_stage.GPTStage` asks for."""

    _position: Position | None = None
    _batches: Iterator[Batch] | None = None

    @abc.abstractmethod
    def _training(self, state: dict[str, Any] | None) -> Batches:
        """The batches that follow the position with this state."""

    @contextlib.contextmanager
    def loading(self) -> Iterator[None]:
        """While this is open a thread makes the batches that follow the position."""
        with prefetched(self._training(self._state or None), _AHEAD) as self._batches:
            yield

    def _step(self, step: int, schedule: Schedule) -> tuple[float, float, dict[str, Any]]:
        begin = time.perf_counter()
        batches = list(self._micro_batches())
        loss, norm = self.trainer.step(batches, *schedule)
        epoch, tokens = self._position.epoch if self._position else 1, self.tokens_per_step
        seconds = time.perf_counter() - begin
        return loss, norm, self._event(schedule, epoch, seconds, tokens, tokens * self.work.flops_per_token)

    def _place(self) -> dict[str, Any]:
        return self._position.state() if self._position else self._state

    def _micro_batches(self) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        assert self._batches is not None  # loading() is open
        for batch in itertools.islice(self._batches, self.work.accumulation):
            self._position = batch.position
            yield batch.inputs, batch.targets
