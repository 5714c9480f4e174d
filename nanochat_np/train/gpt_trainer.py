"""Parameters, gradients and optimizer of a GPT on a device, and a step with them."""

import math
from collections.abc import Sequence
from contextlib import AbstractContextManager

import numpy as np

from nanochat_np.backend import environment
from nanochat_np.backend.arrays import Array, to_numpy
from nanochat_np.backend.device import Device
from nanochat_np.backend.products import products_in
from nanochat_np.errors import RunError
from nanochat_np.nn import gpt
from nanochat_np.nn.gpt_config import GPTConfig, shapes
from nanochat_np.nn.gpt_gradient import GPTGradient
from nanochat_np.optim.clip import clip_scale, global_norm
from nanochat_np.optim.groups import GroupOptimizer, MuonAdamW, Rates
from nanochat_np.optim.lora import Adapter, LoRA

Multipliers = tuple[float, float, float]  # of the rates, Muon's momentum itself, of the weight decay
OUT_OF_MEMORY = "out of memory: lower --device-batch-size or --max-seq-len, or use --recompute"


class GPTTrainer:
    """Gradients of several forward passes add up to those of one batch, and make one update."""

    def __init__(
        self,
        config: GPTConfig,
        weights: dict[str, np.ndarray],
        rates: Rates,
        device: Device,
        *,
        muon: bool = True,
        grad_clip: float = 0.0,
        recompute: bool = False,
        precision: str = "float32",
        batch_size: int,
        tokens_per_step: int,
        adapter: Adapter | None = None,
    ) -> None:
        """``weights`` are copied to the device; 0 for ``grad_clip`` is off; ``batch_size`` is in rows.

        ``precision`` is that of the products: see `backend.products`.  With an ``adapter`` it alone learns, and
        ``rates`` and ``muon`` count for nothing.
        """
        largest = max(math.prod(shape) for shape in shapes(config).values())
        environment.use_blas_threads_for(2.0 * batch_size * config.sequence_len * largest)
        self.config, self.device = config, device
        self._grad_clip, self._recompute, self.precision = grad_clip, recompute, precision
        with device.active():
            self.weights = {name: device.array(values) for name, values in weights.items()}
            self._gradient = GPTGradient(self.weights, tokens_per_step)
            self.optimizer: GroupOptimizer = (
                LoRA(self.weights, adapter) if adapter else MuonAdamW(self.weights, config.n_embd, rates, muon=muon)
            )

    def step(self, batches: Sequence[tuple[np.ndarray, np.ndarray]], *how: *Multipliers) -> tuple[float, float]:
        """One update from batches of inputs and targets (B, T), -1 where nothing is to be predicted.

        Returns the mean loss of the targets before it, in nats a token, and the norm of the gradient before clipping.
        Each batch weighs as much as it has targets, so that the gradient is that of the mean over those of all; one
        that has none is passed over.  Raises ValueError where no batch has any.
        """
        counts = [int((targets >= 0).sum()) for _, targets in batches]
        total = sum(counts)
        return self._step(
            [(*batch, count / total) for batch, count in zip(batches, counts, strict=True) if count], *how
        )

    def step_weighted(
        self, batches: Sequence[tuple[np.ndarray, np.ndarray, np.ndarray]], *how: *Multipliers
    ) -> tuple[float, float]:
        """One update from batches of inputs, targets and weights (B, T): each target has a weight of its own.

        Returns the sum over all targets of weight times cross-entropy, whose gradient it is by, and that one's norm as
        in `step`.  A batch without a weight but 0 is passed over.  Raises ValueError where all are.
        """
        return self._step([batch for batch in batches if batch[2].any()], *how)

    def _step(
        self, parts: Sequence[tuple[np.ndarray, np.ndarray, float | np.ndarray]], *how: *Multipliers
    ) -> tuple[float, float]:
        """One update from inputs, targets, and the weight of their mean loss or the weights of the loss of each."""
        if not parts:
            raise ValueError("no position of a step is to be predicted")
        with self.device.active(), _told_of_memory(self.device), products_in(self.precision):
            gradient = self._gradient
            gradient.clear([inputs for inputs, _, _ in parts])
            total: Array = 0.0
            for inputs, targets, weight in parts:
                idx, wanted = self.device.array(inputs), self.device.array(targets)
                of_mean = isinstance(weight, float)
                share: float | Array = weight if of_mean else self.device.array(weight)
                given = self.weights, self.config, idx, wanted, gradient.arrays
                loss, cache = gpt.forward(*given, share, self._recompute)
                gpt.backward(cache, gradient.arrays, self.device.array(gradient.places(inputs)))
                del cache  # before the next forward pass needs the memory
                total = total + (loss * share if of_mean else loss)
            trained = self.optimizer.gradient(gradient.arrays)
            norm = global_norm(trained)
            scale = float(clip_scale(norm, self._grad_clip))
            self.optimizer.step(trained, *how, grad_scale=scale, tokens=gradient.tokens)
            return float(to_numpy(total)), norm

    def losses(self, inputs: np.ndarray, targets: np.ndarray) -> np.ndarray:
        """Cross-entropy of each target in nats, (B, T) float64."""
        with self.device.active(), _told_of_memory(self.device), products_in(self.precision):
            found = gpt.losses(self.weights, self.config, self.device.array(inputs), self.device.array(targets))
            return to_numpy(found).astype(np.float64)


class _told_of_memory(AbstractContextManager[None]):
    """Turns the two devices' errors for want of memory into one that says what to lower."""

    def __init__(self, device: Device) -> None:
        self._kinds: tuple[type[BaseException], ...] = (MemoryError,)
        if device.index is not None:
            self._kinds += (device.xp.cuda.memory.OutOfMemoryError,)

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if isinstance(error, self._kinds):
            raise RunError(OUT_OF_MEMORY) from error
