"""The stage of the character lab: windows at random places of a text, one learning-rate schedule."""

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from nanochat_np.backend.arrays import to_numpy
from nanochat_np.backend.device import Device
from nanochat_np.config import TrainConfig
from nanochat_np.data.batches import window_starts
from nanochat_np.data.dataset import Dataset
from nanochat_np.errors import CheckpointError, ConfigError, DataError
from nanochat_np.evaluate.bits import Validation
from nanochat_np.evaluate.validation import validate
from nanochat_np.optim.schedule import lr_multipliers
from nanochat_np.train import checkpoint
from nanochat_np.train.measurement import Measurement
from nanochat_np.train.meta import CharacterMeta
from nanochat_np.train.stage import NotFinite, Pace, Steps
from nanochat_np.train.trainer import Trainer, load_state, state_of, weights


def pace(config: TrainConfig) -> Pace:
    """When what happens in a run of these settings."""
    return Pace(
        steps=config.steps,
        eval_every=config.eval_every,
        save_every=config.checkpoint_every,
        memory_guard_ratio=config.memory_guard_ratio,
        memory_guard_window=config.memory_guard_window,
    )


class CharacterStage:
    """See `stage.Stage`."""

    remedy = "lower --lr or set --grad-clip"
    measurements: Sequence[Measurement] = ()

    def __init__(self, config: TrainConfig, dataset: Dataset, trainer: Trainer, device: Device, run: Path) -> None:
        self.config, self.dataset, self.trainer, self.device = config, dataset, trainer, device
        self._run = run
        self.tokens_per_step = config.batch_size * trainer.config.block_size

    def advance(self, first_step: int, count: int) -> Steps:
        """See `stage.Stage.advance`."""
        config = self.config
        size, length = config.batch_size, self.trainer.config.block_size
        starts = window_starts(config.seed, first_step, count, size, len(self.dataset.train), length)
        assert config.lr is not None  # resolved
        lrs = config.lr * lr_multipliers(
            first_step,
            count,
            config.steps,
            config.lr_schedule,
            config.warmup_steps,
            config.warmdown_ratio,
            config.final_lr_frac,
        )
        losses, norms = self.trainer.advance(first_step, starts, lrs)
        return Steps(losses, norms, [{"lr": lr} for lr in lrs.tolist()], {"lr": float(lrs[-1])})

    def restore(self, found: checkpoint.Checkpoint) -> None:
        """See `stage.Stage.restore`."""
        meta = found.meta
        if not isinstance(meta, CharacterMeta) or meta.model != self.trainer.config:
            raise CheckpointError(f"{self._run}: its checkpoints hold another model than its config.json describes")
        if meta.dataset_sha256 != self.dataset.sha256:
            raise DataError(f"--data {self.config.data}: not the text that the run in {self._run} began with")
        if meta.step > self.config.steps:
            raise ConfigError(f"--steps {self.config.steps}: the run in {self._run} is at step {meta.step} already")
        load_state(self.trainer, found)

    def checkpoint(self, step: int, train_seconds: float, recent_losses: list[float]) -> checkpoint.Checkpoint:
        """See `stage.Stage.checkpoint`."""
        if not np.isfinite(to_numpy(self.trainer.p)).all():
            raise NotFinite("a parameter")
        meta = CharacterMeta(
            step=step,
            model=self.trainer.config,
            dtype=self.trainer.p.dtype.name,
            style=self.config.style,
            characters=self.dataset.tokenizer.characters,
            dataset_sha256=self.dataset.sha256,
            train_seconds=train_seconds,
            recent_losses=recent_losses,
        )
        return checkpoint.Checkpoint(meta=meta, weights=weights(self.trainer), state=state_of(self.trainer))

    def validate(self, saved: Path | None, observe: Callable[[], None]) -> Validation:
        """See `stage.Stage.validate`."""
        return validate(
            self.trainer.config,
            checkpoint.load(saved).weights if saved else weights(self.trainer),
            self.dataset.val,
            self.dataset.byte_lengths,
            self.device,
            sample=self.config.val_tokens,
            seed=self.config.seed,
            observe=observe,
        )

    def samples(self) -> list[tuple[str, str]]:
        """None: the character lab samples once, when all is done."""
        return []
