"""The stage of pretraining: packed documents without end, upstream's schedules, samples by greedy decoding."""

import contextlib
import itertools
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from nanochat_np.backend.arrays import to_numpy
from nanochat_np.config import PretrainConfig
from nanochat_np.data.loader import Batch, packed_batches
from nanochat_np.data.position import Position
from nanochat_np.data.prefetch import prefetched
from nanochat_np.data.split import Split
from nanochat_np.errors import CheckpointError, ConfigError
from nanochat_np.evaluate.bits import Validation
from nanochat_np.evaluate.packed import validate_packed
from nanochat_np.infer.document import continue_prompt
from nanochat_np.infer.gpt_engine import GPTEngine
from nanochat_np.infer.sampling import Sampling
from nanochat_np.optim.groups import decay_multiplier, lr_multiplier, muon_momentum
from nanochat_np.text import bpe_file
from nanochat_np.text.bpe import BpeTokenizer
from nanochat_np.train import checkpoint as checkpoints
from nanochat_np.train.gpt_trainer import GPTTrainer
from nanochat_np.train.meta import GPTMeta
from nanochat_np.train.plan import Plan
from nanochat_np.train.stage import NotFinite, Pace, Steps

PROMPTS = ("The", "If a string is", "Once upon a time", "The capital of France is", "To open a file,")
_AHEAD = 4  # batches that the loader makes before they are asked for


def pace(config: PretrainConfig, plan: Plan) -> Pace:
    """When what happens in a run of these settings."""
    return Pace(
        steps=plan.horizon.iterations,
        eval_every=config.eval_every,
        save_every=config.save_every,
        sample_every=config.sample_every,
        keep=config.keep,
        memory_guard_ratio=config.memory_guard_ratio,
        memory_guard_window=config.memory_guard_window,
    )


class PretrainStage:
    """See `stage.Stage`."""

    remedy = "lower --matrix-lr and --embedding-lr, or set --grad-clip"

    def __init__(
        self,
        config: PretrainConfig,
        plan: Plan,
        split: Split,
        tokenizer: BpeTokenizer,
        trainer: GPTTrainer,
        peak_flops: float | None,
        run: Path,
    ) -> None:
        """``peak_flops`` is what the device can do a second; None where nobody knows."""
        self.config, self.plan, self.split, self.tokenizer, self.trainer = config, plan, split, tokenizer, trainer
        self.tokens_per_step = plan.horizon.total_batch_size
        self.peak_memory = 0
        self.peak_flops, self._run = peak_flops, run
        self._byte_lengths = tokenizer.token_bytes()
        self._position: Position | None = None
        self._state: dict[str, Any] | None = None  # of the position that a checkpoint had
        self._batches: Iterator[Batch] | None = None

    @contextlib.contextmanager
    def loading(self) -> Iterator[None]:
        """While this is open a thread makes the batches that follow the position."""
        with prefetched(self._loader(self.split.train, self._state), _AHEAD) as self._batches:
            yield

    def advance(self, first_step: int, count: int) -> Steps:
        """See `stage.Stage.advance`."""
        results, events = [], []
        for step in range(first_step, first_step + count):
            begin = time.perf_counter()
            schedule = self._schedule(step)
            loss, norm = self.trainer.step(list(self._micro_batches()), *schedule)
            results.append((loss, norm))
            events.append(self._event(schedule, time.perf_counter() - begin))
        losses, norms = np.array(results).T
        last = events[-1]
        shown = {"lrm": last["lrm"], "momentum": last["momentum"], "epoch": str(last["epoch"])}
        shown["mem"] = f"{last['memory_mib']:,.0f} MiB"
        if last["mfu"] is not None:
            shown["mfu"] = f"{100 * last['mfu']:.0f} %"
        return Steps(losses, norms, events, shown)

    def restore(self, found: checkpoints.Checkpoint) -> None:
        """See `stage.Stage.restore`."""
        meta = found.meta
        if isinstance(meta, GPTMeta) and meta.tokenizer != self.tokenizer.fingerprint:
            raise CheckpointError(f"{self._run}: its tokenizer is not the one that its checkpoints were made with")
        if not isinstance(meta, GPTMeta) or meta.model != self.plan.model:
            raise CheckpointError(f"{self._run}: its checkpoints hold another model than its config.json describes")
        if meta.position is None:
            raise CheckpointError(f"{self._run}: its checkpoint {meta.step} has no state of training to go on from")
        if meta.step > self.plan.horizon.iterations:
            steps = self.plan.horizon.iterations
            raise ConfigError(f"--num-iterations {steps}: the run in {self._run} is at step {meta.step} already")
        if meta.position:
            Position.of(meta.position, self.split.train, 0, 1)  # raises where the data has changed
            self._state = meta.position
        self._take_weights(found)
        self.trainer.optimizer.load_state(found.state, meta.step)

    def checkpoint(self, step: int, train_seconds: float, recent_losses: list[float]) -> checkpoints.Checkpoint:
        """See `stage.Stage.checkpoint`."""
        weights = {name: to_numpy(values) for name, values in self.trainer.weights.items()}
        for name, values in weights.items():
            if not np.isfinite(values).all():
                raise NotFinite(f"a parameter of {name}")
        meta = GPTMeta(
            step=step,
            stage="pretrain",
            model=self.plan.model,
            dtype="float64" if self.config.dtype == "float64" else "float32",
            tokenizer=self.tokenizer.fingerprint,
            position=self._position.state() if self._position else self._state or {},  # {} is before the first
            settings=msgspec.to_builtins(self.config),
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
        batches = itertools.islice(self._loader(self.split.validation, None), self._validation_batches())
        pairs = ((batch.inputs, batch.targets) for batch in batches)
        return validate_packed(self.trainer.losses, pairs, self._byte_lengths, observe)

    def samples(self) -> list[tuple[str, str]]:
        """See `stage.Stage.samples`."""
        if not self.config.sample_tokens:
            return []
        t, likeliest = self.trainer, Sampling(max_tokens=self.config.sample_tokens, temperature=0.0)
        engine = GPTEngine(t.config, t.weights, self.tokenizer, t.device, slots=1, copy=False)
        return [(prompt, "".join(continue_prompt(engine, prompt, likeliest, truncate=True))) for prompt in PROMPTS]

    def _loader(self, files: Any, state: dict[str, Any] | None) -> Any:
        rows, length = self.config.device_batch_size, self.config.max_seq_len
        return packed_batches(files, self.tokenizer, rows, length, state=state)

    def _micro_batches(self) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        assert self._batches is not None  # loading() is open
        for batch in itertools.islice(self._batches, self.plan.accumulation):
            self._position = batch.position
            yield batch.inputs, batch.targets

    def _schedule(self, step: int) -> tuple[float, float, float]:
        """Multiplier of the rates, Muon's momentum, multiplier of its weight decay."""
        config, steps = self.config, self.plan.horizon.iterations
        lrm = lr_multiplier(step, steps, config.warmup_steps, config.warmdown_ratio, config.final_lr_frac)
        return lrm, muon_momentum(step, steps, config.warmdown_ratio), decay_multiplier(step, steps)

    def _event(self, schedule: tuple[float, float, float], seconds: float) -> dict[str, Any]:
        lrm, momentum, decay = schedule
        memory = self.trainer.device.memory_bytes()
        self.peak_memory = max(self.peak_memory, memory)
        rate = self.tokens_per_step / seconds
        flops = rate * self.plan.horizon.flops_per_token
        return {
            "lrm": lrm,
            "momentum": momentum,
            "weight_decay": self.plan.rates.weight_decay * decay,
            "epoch": self._position.epoch if self._position else 1,
            "seconds": seconds,
            "tokens_per_sec": rate,
            "mfu": flops / self.peak_flops if self.peak_flops else None,
            "memory_mib": memory / 2**20,
        }

    def _take_weights(self, found: checkpoints.Checkpoint) -> None:
        for name, target in self.trainer.weights.items():
            target[...] = self.trainer.device.xp.asarray(found.weights[name])

    def _validation_batches(self) -> int:
        return max(1, self.config.eval_tokens // (self.config.device_batch_size * self.config.max_seq_len))
