"""The one training loop: every mode, model and device goes through it.

Steps are taken in chunks that end where something has to happen (an evaluation, a checkpoint, the end) or after about a
tenth of a second, so that compiled code can run many steps in a call while the display, the log and Ctrl-C stay quick.
How steps fall into chunks changes nothing: everything a step depends on is a function of its number.

A step that has a checkpoint is saved first and then validated, from the file.  A resumed run stands just before that
validation, so whatever ended the one before, the events of both together are those of one that nothing ended.
"""

import math
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
from nanochat_np.errors import Interrupted, MemoryDrift, RunError
from nanochat_np.evaluate.validation import Validation, validate
from nanochat_np.optim.schedule import lr_multipliers
from nanochat_np.train import checkpoint
from nanochat_np.train.guards import MemoryDriftGuard
from nanochat_np.train.interrupts import StopRequest
from nanochat_np.train.run_folder import RunFolder
from nanochat_np.train.trainer import Trainer, load_state, state_of, weights

LAST_N = 50  # losses in the mean that a summary reports
_CHUNK_SECONDS = 0.1
_CHUNK_STEPS, _CHUNK_TOKENS = 10_000, 1 << 20  # bounds on the memory of a chunk: its log and its windows


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
        self.checkpoint: Path | None = None  # the newest
        self._saved_step: int | None = None  # the step of that
        self._guard = MemoryDriftGuard(config.memory_guard_ratio, config.memory_guard_window)
        self._evaluated = False

    @property
    def saved(self) -> Path | None:
        """The checkpoint of this very step."""
        return self.checkpoint if self._saved_step == self.step else None

    def begin(self, found: tuple[Path, checkpoint.Checkpoint] | None) -> None:
        """Stand where the checkpoint ``found`` was saved, or at step 0, and open the log."""
        if found is not None:
            self.checkpoint, content = found
            load_state(self.trainer, content)
            self.step = self._saved_step = content.meta.step
            self.train_seconds = content.meta.train_seconds
            self.recent_losses.extend(content.state["recent_losses"].tolist())
        self.run.open_metrics(self.step)
        if self.checkpoint is not None:
            self._log_checkpoint(self.checkpoint)

    def to_end(self) -> Validation:
        """Take the steps that are left; returns the validation of the last checkpoint, read back from its file."""
        count = 1
        with np.errstate(all="ignore"):  # what is not finite is looked for and told
            self._evaluate_if_due()
            while self.step < self.config.steps:
                count = min(count, self._next_stop() - self.step)
                seconds = self._advance(count)
                if _is_multiple(self.step, self.config.checkpoint_every):
                    self._save()
                self._pause()
                self._evaluate_if_due()
                count = self._next_count(count, seconds)
            self._save()
            return self._evaluate()

    def _next_count(self, count: int, seconds: float) -> int:
        """How many steps to take after ``count`` took so long: at most twice as many."""
        most = min(_CHUNK_STEPS, _CHUNK_TOKENS // self._tokens_per_step())
        return max(1, min(2 * count, int(count * _CHUNK_SECONDS / seconds), most))

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
        seconds = max(time.perf_counter() - begin, 1e-9)
        self.train_seconds += seconds
        self.step += count
        wrong = np.flatnonzero(~np.isfinite(losses + norms))
        kept = count if not wrong.size else int(wrong[0]) + 1  # steps after one that is not finite mean nothing
        self.run.log(
            {"event": "step", "step": first + k + 1, "loss": loss, "lr": lr, "grad_norm": norm}
            for k, (loss, lr, norm) in enumerate(np.stack([losses, lrs, norms], axis=1)[:kept].tolist())
        )
        if wrong.size:
            loss, norm = losses[wrong[0]], norms[wrong[0]]
            what = f"the gradient's norm ({norm})" if np.isfinite(loss) else f"the loss ({loss})"
            raise self._not_finite(what, first + kept)
        self.recent_losses.extend(losses.tolist())
        self.reporter.update(
            self.step,
            loss=float(np.mean(self.recent_losses)),
            lr=float(lrs[-1]),
            norm=float(norms[-1]),
            **{"tok/s": count * self._tokens_per_step() / seconds},
        )
        return seconds

    def _tokens_per_step(self) -> int:
        return self.config.batch_size * self.trainer.config.block_size

    def _pause(self) -> None:
        """Between two chunks, or two batches of an evaluation: whether the work has to end here."""
        try:
            self._guard.observe(self.device.memory_bytes())
        except MemoryDrift as drift:
            raise MemoryDrift(f"{drift}; saved in {self._save()}: go on from there with --resume") from None
        self._stop_if_asked()

    def _stop_if_asked(self) -> None:
        if self.stop.asked:
            raise Interrupted(self.step, self._save())

    def _save(self) -> Path:
        """Write a checkpoint of this step, unless it is written already."""
        if self.saved is not None:
            return self.saved
        if not np.isfinite(to_numpy(self.trainer.p)).all():
            raise self._not_finite("a parameter", self.step)
        meta = checkpoint.Meta(
            step=self.step,
            model=self.trainer.config,
            dtype=self.trainer.p.dtype.name,
            style=self.config.style,
            characters=self.dataset.tokenizer.characters,
            dataset_sha256=self.dataset.sha256,
            train_seconds=self.train_seconds,
        )
        state = state_of(self.trainer) | {"recent_losses": np.array(self.recent_losses, np.float64)}
        content = checkpoint.Checkpoint(meta=meta, weights=weights(self.trainer), state=state)
        self.checkpoint = checkpoint.save(self.run.checkpoints, content)
        self._saved_step = self.step
        self._log_checkpoint(self.checkpoint)
        return self.checkpoint

    def _log_checkpoint(self, path: Path) -> None:
        self.run.log([{"event": "checkpoint", "step": self.step, "path": path.name}])

    def _evaluate_if_due(self) -> None:
        if self.step < self.config.steps and _is_multiple(self.step, self.config.eval_every):
            self._evaluate()

    def _evaluate(self) -> Validation:
        """Validate; what was just saved is read back from its file, so that the figure is the file's."""
        begin = time.perf_counter()
        found = validate(
            self.trainer.config,
            checkpoint.load(self.saved).weights if self.saved else weights(self.trainer),
            self.dataset.val,
            self.dataset.byte_lengths,
            self.device,
            sample=self.config.val_tokens,
            seed=self.config.seed,
            # The first evaluation may rightly take more memory than training did; it is part of the baseline.
            observe=self._pause if self._evaluated else self._stop_if_asked,
        )
        if not self._evaluated:
            self._guard.restart()
            self._evaluated = True
        seconds = time.perf_counter() - begin
        self.run.log(
            [{"event": "eval", "step": self.step, "val_loss": found.loss, "val_bpb": found.bpb, "seconds": seconds}]
        )
        if not math.isfinite(found.loss):
            raise self._not_finite(f"the validation loss ({found.loss})", self.step)
        self.reporter.note(f"step {self.step}: validation loss {found.loss:.4f}, {found.bpb:.4f} bits per byte")
        return found

    def _not_finite(self, what: str, step: int) -> RunError:
        self.run.log([{"event": "not_finite", "step": step, "what": what}])
        last = f"the last good checkpoint is {self.checkpoint}" if self.checkpoint else "there is no checkpoint yet"
        return RunError(f"{what} is not finite at step {step}: lower --lr or set --grad-clip; {last}")


def _is_multiple(step: int, every: int) -> bool:
    return bool(every) and step % every == 0
