"""What the stages that train a GPT have in common: one trainer, events, checkpoints, validation, samples."""

import abc
import itertools
from collections.abc import Callable, Generator, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, ClassVar, NamedTuple, Protocol

import msgspec
import numpy as np

from nanochat_np.backend.arrays import to_numpy
from nanochat_np.config import StageConfig
from nanochat_np.errors import CheckpointError, ConfigError
from nanochat_np.evaluate.bits import Validation
from nanochat_np.evaluate.packed import validate_packed
from nanochat_np.infer.gpt_engine import GPTEngine
from nanochat_np.infer.sampling import Sampling
from nanochat_np.text import bpe_file
from nanochat_np.text.bpe import BpeTokenizer
from nanochat_np.train import checkpoint as checkpoints
from nanochat_np.train import meta as metas
from nanochat_np.train.gpt_trainer import GPTTrainer
from nanochat_np.train.measurement import Measurement
from nanochat_np.train.stage import NotFinite, Pace, Steps
from nanochat_np.train.work import Work


class Schedule(NamedTuple):
    """Multiplier of the rates, Muon's momentum, multiplier of its weight decay."""

    lrm: float
    momentum: float
    decay: float


class Position(Protocol):
    """Where a loader stands."""

    @property
    def epoch(self) -> int: ...

    def state(self) -> dict[str, Any]: ...


class Batch(Protocol):
    """``inputs`` and ``targets``, (B, T) int32, and the ``position`` after them."""

    @property
    def inputs(self) -> np.ndarray: ...

    @property
    def targets(self) -> np.ndarray: ...

    @property
    def position(self) -> Position: ...


Batches = Generator[Batch, None, None]


def pace(config: StageConfig, work: Work) -> Pace:
    """When what happens in a run of these settings."""
    return Pace(
        steps=work.iterations,
        eval_every=config.eval_every,
        save_every=config.save_every,
        sample_every=config.sample_every,
        keep=config.keep,
        memory_guard_ratio=config.memory_guard_ratio,
        memory_guard_window=config.memory_guard_window,
    )


class GPTStage(abc.ABC):
    """See `stage.Stage`.  A stage says what its batches, its schedule and its samples are."""

    name: metas.Stage
    prompts: ClassVar[tuple[str, ...]]
    remedy = "lower --matrix-lr and --embedding-lr, or set --grad-clip"

    def __init__(
        self,
        config: StageConfig,
        work: Work,
        tokenizer: BpeTokenizer,
        trainer: GPTTrainer,
        peak_flops: float | None,
        run: Path,
    ) -> None:
        """``peak_flops`` is what the device can do a second; None where nobody knows."""
        self.config, self.work, self.tokenizer, self.trainer = config, work, tokenizer, trainer
        self.tokens_per_step = work.tokens_per_step
        self.peak_memory = 0
        self.peak_flops, self._run = peak_flops, run
        self.measurements: Sequence[Measurement] = ()
        self._byte_lengths = tokenizer.token_bytes()
        self._state: dict[str, Any] = {}  # of the position in the data that a checkpoint had; {} is before the first

    @abc.abstractmethod
    def loading(self) -> AbstractContextManager[None]:
        """While this is open, steps can be taken."""

    @abc.abstractmethod
    def _step(self, step: int, schedule: Schedule) -> tuple[float, float, dict[str, Any]]:
        """Take a step; returns loss, norm of the gradient before clipping, and `_event`."""

    @abc.abstractmethod
    def _place(self) -> dict[str, Any]:
        """The state of the position in the data."""

    @abc.abstractmethod
    def _validation(self) -> Batches:
        """Batches of what is not trained."""

    @abc.abstractmethod
    def _check(self, state: dict[str, Any]) -> None:
        """Raise CheckpointError or DataError where the data is not what it was at a position."""

    @abc.abstractmethod
    def _schedule(self, step: int) -> Schedule: ...

    @abc.abstractmethod
    def _sample(self, engine: GPTEngine, prompt: str, sampling: Sampling) -> str: ...

    def advance(self, first_step: int, count: int) -> Steps:
        """See `stage.Stage.advance`."""
        steps = [self._step(step, self._schedule(step)) for step in range(first_step, first_step + count)]
        losses, norms = np.array([numbers for *numbers, _ in steps]).T
        return Steps(losses, norms, [event for *_, event in steps], self._shown(steps[-1][2]))

    def restore(self, found: checkpoints.Checkpoint) -> None:
        """See `stage.Stage.restore`."""
        meta = found.meta
        if isinstance(meta, metas.GPTMeta) and meta.tokenizer != self.tokenizer.fingerprint:
            raise CheckpointError(f"{self._run}: its tokenizer is not the one that its checkpoints were made with")
        if not isinstance(meta, metas.GPTMeta) or meta.model != self.work.model:
            raise CheckpointError(f"{self._run}: its checkpoints hold another model than its config.json describes")
        if meta.position is None:
            raise CheckpointError(f"{self._run}: its checkpoint {meta.step} has no state of training to go on from")
        if meta.step > self.work.iterations:
            steps = self.work.iterations
            raise ConfigError(f"--num-iterations {steps}: the run in {self._run} is at step {meta.step} already")
        if meta.position:
            self._check(meta.position)
            self._state = meta.position
        self._take_weights(found)
        self.trainer.optimizer.load_state(found.state, meta.updates)

    def checkpoint(self, step: int, train_seconds: float, recent_losses: list[float]) -> checkpoints.Checkpoint:
        """See `stage.Stage.checkpoint`."""
        weights = {name: to_numpy(values) for name, values in self.trainer.weights.items()}
        for name, values in weights.items():
            if not np.isfinite(values).all():
                raise NotFinite(f"a parameter of {name}")
        meta = metas.GPTMeta(
            step=step,
            stage=self.name,
            model=self.work.model,
            dtype="float64" if self.config.dtype == "float64" else "float32",
            tokenizer=self.tokenizer.fingerprint,
            position=self._place(),
            settings=msgspec.to_builtins(self.config),
            optimizer_steps=self.trainer.optimizer.steps,
            train_seconds=train_seconds,
            recent_losses=recent_losses,
        )
        texts = {bpe_file.NAME: bpe_file.encoded(self.tokenizer)}
        return checkpoints.Checkpoint(
            meta=meta, weights=weights, state=self.trainer.optimizer.state_arrays(), texts=texts
        )

    def validate(self, saved: Path | None, observe: Callable[[], None]) -> Validation:
        """See `stage.Stage.validate`.  What was saved is read into the place of the weights, where it belongs."""
        if saved:
            self._take_weights(checkpoints.load(saved))
        return self._validated(self._validation(), observe)

    def samples(self) -> list[tuple[str, str]]:
        """See `stage.Stage.samples`."""
        if not self.config.sample_tokens:
            return []
        t, likeliest = self.trainer, Sampling(max_tokens=self.config.sample_tokens, temperature=0.0)
        engine = GPTEngine(t.config, t.weights, self.tokenizer, t.device, slots=1, copy=False)
        return [(prompt, self._sample(engine, prompt, likeliest)) for prompt in self.prompts]

    def _validated(self, batches: Batches, observe: Callable[[], None]) -> Validation:
        """The loss of the first ``eval_tokens`` tokens of them, at least of one batch."""
        count = max(1, self.config.eval_tokens // (self.config.device_batch_size * self.work.model.sequence_len))
        pairs = ((batch.inputs, batch.targets) for batch in itertools.islice(batches, count))
        return validate_packed(self.trainer.losses, pairs, self._byte_lengths, observe)

    def _event(self, schedule: Schedule, epoch: int, seconds: float, tokens: int, flops: float) -> dict[str, Any]:
        """What the log says of a step that took so long for so many tokens and operations."""
        memory = self.trainer.device.memory_bytes()
        self.peak_memory = max(self.peak_memory, memory)
        return {
            "lrm": schedule.lrm,
            "momentum": schedule.momentum,
            "weight_decay": self.work.rates.weight_decay * schedule.decay,
            "epoch": epoch,
            "seconds": seconds,
            "tokens_per_sec": tokens / seconds,
            "mfu": flops / seconds / self.peak_flops if self.peak_flops else None,
            "memory_mib": memory / 2**20,
        }

    def _shown(self, event: dict[str, Any]) -> dict[str, float | str]:
        """What the display says of a step."""
        shown = {"lrm": event["lrm"], "momentum": event["momentum"], "epoch": str(event["epoch"])}
        shown["mem"] = f"{event['memory_mib']:,.0f} MiB"
        if event["mfu"] is not None:
            shown["mfu"] = f"{100 * event['mfu']:.0f} %"
        return shown

    def _take_weights(self, found: checkpoints.Checkpoint) -> None:
        for name, target in self.trainer.weights.items():
            target[...] = self.trainer.device.xp.asarray(found.weights[name])
