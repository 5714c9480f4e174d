"""A GPT on a device that goes on with several texts at once, each in a slot of a cache."""

import importlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from nanochat_np import kernels
from nanochat_np.backend.arrays import to_numpy
from nanochat_np.backend.device import Device
from nanochat_np.backend.products import products_in
from nanochat_np.errors import ConfigError
from nanochat_np.nn import gpt_decode
from nanochat_np.nn.gpt_cache import GPTCache
from nanochat_np.nn.gpt_config import GPTConfig
from nanochat_np.nn.model import Weights
from nanochat_np.text.bpe import BpeTokenizer


class GPTEngine:
    """One thread at a time may use it."""

    def __init__(
        self,
        config: GPTConfig,
        weights: Mapping[str, np.ndarray],
        tokenizer: BpeTokenizer,
        device: Device,
        *,
        slots: int = 16,
        precision: str = "float32",
        quantize: str = "float32",
        copy: bool = True,
    ) -> None:
        """``weights`` are copied to the device; ``precision`` is that of products: see `backend.products`.

        ``quantize`` rounds the matrices to "bfloat16" or "int8", which makes decoding on a CPU faster.  Raises
        ConfigError where that has no kernel.  Without ``copy`` the weights are used where they are, on the device
        already, not packed for speed: then the engine sees them change.
        """
        self.config, self.tokenizer, self.device, self.slots = config, tokenizer, device, slots
        self.precision = precision
        with device.active():
            self.weights: Weights = {name: device.array(values) if copy else values for name, values in weights.items()}
            dtype = self.weights["transformer.wte.weight"].dtype
            self._cache = GPTCache(config, device, dtype, slots)
        self._packed: Any = None
        if copy and device.index is None and dtype == np.float32 and kernels.in_use():
            module = importlib.import_module("nanochat_np.infer.packed_gpt")  # imports Numba
            self._packed = module.PackedGPT(config, self.weights, quantize, self._cache)
        elif quantize != "float32":
            raise ConfigError(f"--quantize {quantize}: only on a CPU, in float32, with compiled loops: leave it out")

    def begin(self, slot: int) -> None:
        """Let a slot forget its text."""
        with self.device.active():
            self._cache.clear(slot)

    def copy(self, source: int, target: int) -> None:
        """Give a slot the text of another."""
        with self.device.active():
            self._cache.copy(source, target)

    def length(self, slot: int) -> int:
        """Tokens of the text in a slot."""
        return self._cache.lengths[slot]

    def extend(self, slot: int, tokens: Sequence[int]) -> np.ndarray:
        """Logits (V,) after more tokens of the text in a slot, at most ``sequence_len`` in all."""
        with self.device.active(), products_in(self.precision):
            idx = self.device.array(np.array(tokens, np.int64))
            x = gpt_decode.extend(self.weights, self.config, idx, self._cache, slot)
            return to_numpy(gpt_decode.head(self.weights, self.config, x[-1:])[0])

    def step(self, slots: Sequence[int], tokens: Sequence[int]) -> np.ndarray:
        """Logits (B, V) after one more token of the text in each of the slots."""
        if self._packed is not None:
            return self._packed.step(slots, tokens)
        with self.device.active(), products_in(self.precision):
            idx = self.device.array(np.array(tokens, np.int64))
            x = gpt_decode.step(self.weights, self.config, idx, self._cache, slots)
            return to_numpy(gpt_decode.head(self.weights, self.config, x))
