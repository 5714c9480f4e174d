"""The one training loop: every mode, model and device goes through it.

Steps are taken in chunks that end where something has to happen (an evaluation, a checkpoint, the end) or after about a
tenth of a second, so that compiled code can run many steps in a call while the display, the log and Ctrl-C stay quick.
How steps fall into chunks changes nothing: everything a step depends on is a function of its number.
"""

import time
from collections import deque
from pathlib import Path
from typing import Protocol

import numpy as np

from nanochat_np.backend.arrays import to_numpy
from nanochat_np.backend.device import Device
from nanochat_np.config import TrainConfig
from nanochat_np.data.batches import window_starts
from nanochat_np.data.dataset import Dataset
from nanochat_np.errors import Interrupted, RunError
from nanochat_np.evaluate.validation import Validation, validate
from nanochat_np.optim.schedule import lr_multipliers
from nanochat_np.train import checkpoint
from nanochat_np.train.guards import MemoryDriftGuard
from nanochat_np.train.interrupts import StopRequest
from nanochat_np.train.run_folder import RunFolder
from nanochat_np.train.trainer import Trainer, load_state, state_of, weights

LAST_N = 50  # losses in the mean that a summary reports
_CHUNK_SECONDS = 0.1


class Reporter(Protocol):
    """Where progress is shown."""

    def update(self, step: int, **fields: float | str) -> None: ...

    def note(self, text: str) -> None: ...


class TrainingLoop:
    """One run: its settings, its trainer, its folder, and where it stands."""

    def __init__(
        self,
        config: TrainConfig,
        dataset: Dataset,
        trainer: Trainer,
        device: Device,
        run: RunFolder,
        reporter: Reporter,
        stop: StopRequest,
    ) -> None:
        self.config, self.dataset, self.trainer, self.device = config, dataset, trainer, device
        self.run, self.reporter, self.stop = run, reporter, stop
        self.step = 0
        self.train_seconds = 0.0
        self.recent_losses: deque[float] = deque(maxlen=LAST_N)
        self.saved: Path | None = None  # the checkpoint of this very step
        self._guard = MemoryDriftGuard(config.memory_guard_ratio, config.memory_guard_window)
        self._evaluated = False

    def resume(self, found: checkpoint.Checkpoint) -> None:
        """Stand where ``found`` was saved."""
        load_state(self.trainer, found)
        self.step, self.train_seconds = found.meta.step, found.meta.train_seconds
        self.recent_losses.extend(found.state["recent_losses"].tolist())

    def to_end(self) -> Validation:
        """Take the steps that are left; returns the validation of the last checkpoint, read back from its file."""
        if self.config.eval_every and self.step == 0 and self.config.steps:
            self._evaluate()
        chunk = 1
        while self.step < self.config.steps:
            seconds = self._advance(min(chunk, self._next_stop() - self.step))
            chunk = max(1, min(2 * chunk, int(chunk * _CHUNK_SECONDS / max(seconds, 1e-9))))
            self._after_chunk()
        self._save()
        return self._evaluate()

    def _next_stop(self) -> int:
        """The next step after which something has to happen."""
        every = (self.config.eval_every, self.config.checkpoint_every)
        return min([self.config.steps, *(self.step - self.step % n + n for n in every if n)])

    def _advance(self, count: int) -> float:
        """Take ``count`` steps, log them, and return the seconds they took."""
        config, first = self.config, self.step
        starts = window_starts(
            config.seed, first, count, config.batch_size, len(self.dataset.train), self.trainer.config.block_size
        )
        assert config.lr is not None  # resolved
        lrs = config.lr * lr_multipliers(
            first,
            count,
            config.steps,
            config.lr_schedule,
            config.warmup_steps,
            config.warmdown_ratio,
            config.final_lr_frac,
        )
        begin = time.perf_counter()
        losses, norms = self.trainer.advance(first, starts, lrs)
        seconds = time.perf_counter() - begin
        self.train_seconds += seconds
        self.step += count
        self.saved = None
        self.run.log(
            {"event": "step", "step": first + k + 1, "loss": loss, "lr": lr, "grad_norm": norm}
            for k, (loss, lr, norm) in enumerate(zip(losses.tolist(), lrs.tolist(), norms.tolist(), strict=True))
        )
        self.recent_losses.extend(losses.tolist())
        self._require_finite(losses, first)
        tokens = count * config.batch_size * self.trainer.config.block_size
        self.reporter.update(
            self.step,
            loss=float(np.mean(self.recent_losses)),
            lr=float(lrs[-1]),
            norm=float(norms[-1]),
            **{"tok/s": tokens / seconds},
        )
        return seconds

    def _after_chunk(self) -> None:
        """What the step reached calls for: checkpoint first, evaluation of what was written after it."""
        at_end = self.step == self.config.steps
        self._guard.observe(self.device.memory_bytes())
        if _is_multiple(self.step, self.config.checkpoint_every) and not at_end:
            self._save()
        if _is_multiple(self.step, self.config.eval_every) and not at_end:
            self._evaluate()
        if self.stop.asked and not at_end:
            raise Interrupted(self.step, self._save())

    def _save(self) -> Path:
        """Write a checkpoint of this step, unless it is written already."""
        if self.saved is None:
            if not np.isfinite(to_numpy(self.trainer.p)).all():
                raise self._not_finite("a parameter", self.step)
            meta = checkpoint.Meta(
                step=self.step,
                model=self.trainer.config,
                dtype=str(self.trainer.p.dtype),
                style=self.config.style,
                characters=self.dataset.tokenizer.characters,
                dataset_sha256=self.dataset.sha256,
                train_seconds=self.train_seconds,
            )
            state = state_of(self.trainer) | {"recent_losses": np.array(self.recent_losses, np.float64)}
            self.saved = checkpoint.save(
                self.run.checkpoints, checkpoint.Checkpoint(meta=meta, weights=weights(self.trainer), state=state)
            )
            self.run.log([{"event": "checkpoint", "step": self.step, "path": self.saved.name}])
        return self.saved

    def _evaluate(self) -> Validation:
        """Validate; what was just saved is read back from its file, so that the figure is the file's."""
        begin = time.perf_counter()
        values = checkpoint.load(self.saved).weights if self.saved else weights(self.trainer)
        found = validate(
            self.trainer.config,
            values,
            self.dataset.val,
            self.dataset.byte_lengths,
            self.device,
            sample=self.config.val_tokens,
            seed=self.config.seed,
            observe=self._observe_evaluation if self._evaluated else lambda: None,
        )
        self._evaluated = True
        self.run.log(
            [
                {
                    "event": "eval",
                    "step": self.step,
                    "val_loss": found.loss,
                    "val_bpb": found.bpb,
                    "seconds": time.perf_counter() - begin,
                }
            ]
        )
        self.reporter.note(f"step {self.step}: validation loss {found.loss:.4f}, {found.bpb:.4f} bits per byte")
        return found

    def _observe_evaluation(self) -> None:
        self._guard.observe(self.device.memory_bytes())

    def _require_finite(self, losses: np.ndarray, first: int) -> None:
        wrong = np.flatnonzero(~np.isfinite(losses))
        if wrong.size:
            raise self._not_finite(f"the loss ({losses[wrong[0]]})", first + int(wrong[0]) + 1)

    def _not_finite(self, what: str, step: int) -> RunError:
        kept = checkpoint.step_folders(self.run.checkpoints)
        last = f"the last good checkpoint is {kept[0]}" if kept else "there is no checkpoint yet"
        return RunError(f"{what} is not finite at step {step}: lower --lr or set --grad-clip; {last}")


def _is_multiple(step: int, every: int) -> bool:
    return bool(every) and step % every == 0
