"""Training with arrays: forward, hand-written backward, update; on the CPU or a GPU with the same code."""

import numpy as np

from nanochat_np import ops
from nanochat_np.backend.arrays import Array, to_numpy
from nanochat_np.backend.device import Device
from nanochat_np.nn.model import ModelConfig, architecture, views
from nanochat_np.optim.optimizer import Optimizer, update
from nanochat_np.train.bigram_sgd import bigram_sgd, can_run_bigram_sgd


class TensorTrainer:
    """See `trainer.Trainer`."""

    def __init__(self, config: ModelConfig, p: Array, optimizer: Optimizer, tokens: np.ndarray, device: Device) -> None:
        self.config, self.p, self.optimizer, self.device = config, p, optimizer, device
        self._model = architecture(config.kind)
        shapes = self._model.shapes(config)
        self._g = device.xp.zeros_like(p)
        self._weights, self._grads = views(p, shapes), views(self._g, shapes)
        self._tokens = device.array(tokens)
        self._window = device.xp.arange(config.block_size + 1)

    def advance(self, first_step: int, starts: np.ndarray, lrs: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """See `trainer.Trainer.advance`.  The results stay on the device until the last step is given out."""
        with self.device.active():
            windows = self._tokens[self.device.array(starts)[..., None] + self._window]  # (K, B, T + 1)
            if can_run_bigram_sgd(self.config, self.optimizer, windows):
                return bigram_sgd(self.config, self._weights, self.optimizer, windows[:, 0], lrs)
            results = self.device.xp.empty((2, len(lrs)), self.p.dtype)
            for k, lr in enumerate(lrs):
                results[0, k] = self._loss_and_gradient(windows[k])
                results[1, k] = update(self.optimizer, self.p, self._g, float(lr), first_step + k + 1)
            losses, norms = to_numpy(results).astype(np.float64)
            return losses, norms

    def warm_up(self, batch_size: int) -> None:
        """See `trainer.Trainer.warm_up`."""
        with self.device.active():
            kept = self.p.copy(), self.optimizer.m.copy(), self.optimizer.v.copy()
            self.advance(0, np.zeros((1, batch_size), np.int64), np.zeros(1))
            for array, values in zip((self.p, self.optimizer.m, self.optimizer.v), kept, strict=True):
                array[...] = values

    def _loss_and_gradient(self, window: Array) -> Array:
        """Loss of a batch (B, T + 1); its gradient is left in ``_g``."""
        self._g.fill(0)
        loss, cache = self._model.loss(ops, self._weights, self.config, window[:, :-1], window[:, 1:])
        self._model.backward(ops, cache, self._grads)
        return loss
