"""Text from a model, token by token, of any length: a key/value cache while the window fills, then a sliding window."""

from collections.abc import Iterator, Mapping

import numpy as np

from nanochat_np import ops
from nanochat_np.backend.arrays import Array, to_numpy
from nanochat_np.backend.device import Device
from nanochat_np.infer.kv_cache import KVCache
from nanochat_np.infer.sampler import Sampler
from nanochat_np.nn.model import ModelConfig, architecture
from nanochat_np.text.character import BOS


class Engine:
    """A model ready to continue tokens on a device."""

    def __init__(self, config: ModelConfig, weights: Mapping[str, np.ndarray], device: Device) -> None:
        self.config, self.device = config, device
        self._model = architecture(config.kind)
        with device.active():
            self._weights = {name: device.array(values) for name, values in weights.items()}
        self._dtype = next(iter(self._weights.values())).dtype

    def generate(
        self, context: list[int], count: int, sampler: Sampler, bias: np.ndarray | None = None
    ) -> Iterator[int]:
        """Yield ``count`` tokens after ``context`` (at least one token), never BOS.

        Each token sees at most the last ``block_size`` tokens.  Positions are learnt, so once the window is full and
        moves every key in it changes, and it is computed anew; until then only the newest position is.  ``bias`` (V, V)
        is added to the logits by the token before.
        """
        window, width = list(context), self.config.block_size
        with self.device.active():
            kv = KVCache(self.config, self.device, self._dtype) if self.config.n_layer else None
        for _ in range(count):
            window = window[-width:]
            if kv is not None and kv.length >= len(window):  # it slid
                kv.length = 0
            logits = self._last_logits(window[kv.length if kv is not None else -1 :], kv)
            if bias is not None:
                logits += bias[window[-1]]
            logits[BOS] = -np.inf
            token = sampler(logits)
            yield token
            window.append(token)

    def _last_logits(self, tokens: list[int], kv: KVCache | None) -> np.ndarray:
        """Logits (V,) float64 after ``tokens``, which continue what ``kv`` holds."""
        with self.device.active():
            idx: Array = self.device.array([tokens])
            logits, _ = self._model.logits(ops, self._weights, self.config, idx, kv)
            return to_numpy(logits[0, -1]).astype(np.float64)
