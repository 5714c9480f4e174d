"""The one training loop: every stage, mode, model and device goes through it.

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

from nanochat_np.backend.device import Device
from nanochat_np.errors import Interrupted, MemoryDrift, RunError
from nanochat_np.evaluate.bits import Validation
from nanochat_np.train import checkpoint
from nanochat_np.train.guards import MemoryDriftGuard
from nanochat_np.train.interrupts import StopRequest
from nanochat_np.train.measurement import Measurement
from nanochat_np.train.run_folder import RunFolder
from nanochat_np.train.stage import NotFinite, Pace, Stage

LAST_N = 50  # losses in the mean that a summary reports
_CHUNK_SECONDS = 0.1
_CHUNK_STEPS, _CHUNK_TOKENS = 10_000, 1 << 20  # bounds on the memory of a chunk: its log and its windows


class Reporter(Protocol):
    """Where progress is shown."""

    def update(self, step: int, **fields: float | str) -> None: ...

    def note(self, text: str) -> None: ...


class TrainingLoop:
    """One run: what is trained, at which pace, its folder, and where it stands."""

    def __init__(
        self, stage: Stage, pace: Pace, device: Device, run: RunFolder, reporter: Reporter, stop: StopRequest
    ) -> None:
        self.stage, self.pace, self.device = stage, pace, device
        self.run, self.reporter, self.stop = run, reporter, stop
        self.step = 0
        self.train_seconds = 0.0
        self.recent_losses: deque[float] = deque(maxlen=LAST_N)
        self.checkpoint: Path | None = None  # the newest
        self._saved_step: int | None = None  # the step of that
        self._guard = MemoryDriftGuard(pace.memory_guard_ratio, pace.memory_guard_window)
        self._evaluated = False

    @property
    def saved(self) -> Path | None:
        """The checkpoint of this very step."""
        return self.checkpoint if self._saved_step == self.step else None

    def begin(self, found: tuple[Path, checkpoint.Checkpoint] | None) -> None:
        """Stand where the checkpoint ``found``, which the stage has, was saved, or at step 0; open the log."""
        if found is not None:
            self.checkpoint, content = found
            self.step = self._saved_step = content.meta.step
            self.train_seconds = content.meta.train_seconds
            self.recent_losses.extend(content.meta.recent_losses)
        self.run.open_metrics(self.step)
        if self.checkpoint is not None:
            self._log_checkpoint(self.checkpoint)

    def to_end(self) -> Validation:
        """Take the steps that are left; returns the validation of the last checkpoint, read back from its file."""
        count = 1
        with np.errstate(all="ignore"):  # what is not finite is looked for and told
            self._evaluate_if_due()
            while self.step < self.pace.steps:
                count = min(count, self._next_stop() - self.step)
                seconds = self._advance(count)
                if _is_multiple(self.step, self.pace.save_every):
                    self._save()
                self._pause()
                self._evaluate_if_due()
                count = self._next_count(count, seconds)
            self._save()
            found = self._evaluate()
            for measurement in self.stage.measurements:
                self._measure(measurement)
            self._sample()
            return found

    def _next_count(self, count: int, seconds: float) -> int:
        """How many steps to take after ``count`` took so long: at most twice as many."""
        most = min(_CHUNK_STEPS, _CHUNK_TOKENS // self.stage.tokens_per_step)
        return max(1, min(2 * count, int(count * _CHUNK_SECONDS / seconds), most))

    def _next_stop(self) -> int:
        """The next step after which something has to happen."""
        every = [self.pace.eval_every, self.pace.save_every, self.pace.sample_every]
        every += [measurement.every for measurement in self.stage.measurements]
        return min([self.pace.steps, *(self.step - self.step % n + n for n in every if n)])

    def _advance(self, count: int) -> float:
        """Take ``count`` steps, log them, and return the seconds they took."""
        first = self.step
        begin = time.perf_counter()
        losses, norms, events, shown = self.stage.advance(first, count)
        seconds = max(time.perf_counter() - begin, 1e-9)
        self.train_seconds += seconds
        self.step += count
        wrong = np.flatnonzero(~np.isfinite(losses + norms))
        kept = count if not wrong.size else int(wrong[0]) + 1  # steps after one that is not finite mean nothing
        values = np.stack([losses, norms], axis=1)[:kept].tolist()
        self.run.log(
            {"event": "step", "step": first + k + 1, "loss": loss, "grad_norm": norm, **event}
            for k, ((loss, norm), event) in enumerate(zip(values, events[:kept], strict=True))
        )
        if wrong.size:
            loss, norm = losses[wrong[0]], norms[wrong[0]]
            what = f"the gradient's norm ({norm})" if np.isfinite(loss) else f"the loss ({loss})"
            raise self._not_finite(what, first + kept)
        self.recent_losses.extend(losses.tolist())
        self.reporter.update(
            self.step,
            loss=float(np.mean(self.recent_losses)),
            norm=float(norms[-1]),
            **{"tok/s": count * self.stage.tokens_per_step / seconds} | shown,
        )
        return seconds

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
        try:
            content = self.stage.checkpoint(self.step, self.train_seconds, list(self.recent_losses))
        except NotFinite as what:
            raise self._not_finite(str(what), self.step) from None
        self.checkpoint = checkpoint.save(self.run.checkpoints, content)
        self._saved_step = self.step
        self._log_checkpoint(self.checkpoint)
        if self.pace.keep:
            checkpoint.remove_older(self.run.checkpoints, self.pace.keep)
        return self.checkpoint

    def _log_checkpoint(self, path: Path) -> None:
        self.run.log([{"event": "checkpoint", "step": self.step, "path": path.name}])

    def _evaluate_if_due(self) -> None:
        if self.step == self.pace.steps:
            return
        if _is_multiple(self.step, self.pace.eval_every):
            self._evaluate()
        for measurement in self.stage.measurements:
            if self.step and _is_multiple(self.step, measurement.every):
                self._measure(measurement)
        if self.step and _is_multiple(self.step, self.pace.sample_every):
            self._sample()

    def _measure(self, measurement: Measurement) -> None:
        begin = time.perf_counter()
        fields = measurement.measure(self._stop_if_asked)
        self._guard.restart()  # it may rightly have taken more memory than training does
        seconds = time.perf_counter() - begin
        self.run.log([{"event": measurement.event, "step": self.step, **fields, "seconds": seconds}])
        told = ", ".join(f"{name} {value:.4f}" for name, value in fields.items() if isinstance(value, float))
        self.reporter.note(f"step {self.step}: {told}")

    def _sample(self) -> None:
        for prompt, text in self.stage.samples():
            self.run.log([{"event": "sample", "step": self.step, "prompt": prompt, "text": text}])
            self.reporter.note(f"step {self.step}: {one_line(prompt, text)}")
            self._stop_if_asked()

    def _evaluate(self) -> Validation:
        """Validate; what was just saved is read back from its file, so that the figure is the file's."""
        begin = time.perf_counter()
        # The first evaluation may rightly take more memory than training did; it is part of the baseline.
        found = self.stage.validate(self.saved, self._pause if self._evaluated else self._stop_if_asked)
        if not self._evaluated:
            self._guard.restart()
            self._evaluated = True
        seconds = time.perf_counter() - begin
        figures, more = {"val_loss": found.loss, "val_bpb": found.bpb}, ""
        if found.docs_bpb is not None:
            figures["docs_bpb"] = found.docs_bpb
            more = f", of documents {found.docs_bpb:.4f}"
        for k, share in (found.pass_at or {}).items():
            figures[f"pass_at_{k}"] = share
            more += f", pass@{k} {share:.3f}"
        self.run.log([{"event": "eval", "step": self.step, **figures, "seconds": seconds}])
        if not math.isfinite(found.loss):
            raise self._not_finite(f"the validation loss ({found.loss})", self.step)
        self.reporter.note(f"step {self.step}: validation loss {found.loss:.4f}, {found.bpb:.4f} bits per byte{more}")
        return found

    def _not_finite(self, what: str, step: int) -> RunError:
        self.run.log([{"event": "not_finite", "step": step, "what": what}])
        last = f"the last good checkpoint is {self.checkpoint}" if self.checkpoint else "there is no checkpoint yet"
        return RunError(f"{what} is not finite at step {step}: {self.stage.remedy}; {last}")


def one_line(prompt: str, text: str) -> str:
    """A sample for display: what the model wrote after the bar, line breaks as ``\\n``."""
    return f"{prompt}|{text}".replace("\n", "\\n")


def _is_multiple(step: int, every: int) -> bool:
    return bool(every) and step % every == 0
