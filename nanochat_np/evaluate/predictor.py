"""What a GPT expects at chosen places of texts: all that benchmarks without writing ask of it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from nanochat_np.backend.arrays import to_numpy
from nanochat_np.backend.device import Device
from nanochat_np.backend.products import products_in
from nanochat_np.infer.gpt_engine import GPTEngine
from nanochat_np.nn import gpt
from nanochat_np.nn.gpt_config import GPTConfig

Tokens = Sequence[int] | np.ndarray
Range = tuple[int, int]  # tokens of a text from the first on, up to and without the second


@dataclass(frozen=True)
class Predictor:
    """``weights`` are on the device; ``precision`` is that of products: see `backend.products`."""

    config: GPTConfig
    weights: Mapping[str, np.ndarray]
    device: Device
    precision: str = "float32"

    @classmethod
    def of(cls, engine: GPTEngine) -> "Predictor":
        """One that shares its weights with an engine."""
        return cls(engine.config, engine.weights, engine.device, engine.precision)

    def logits(self, texts: Sequence[Tokens], wanted: Sequence[Range]) -> list[np.ndarray]:
        """Logits (end − start, V) of the tokens start ≤ i < end of each text, each given those before it alone.

        1 ≤ start ≤ end ≤ len(text) + 1: the token after the last may be asked for.  Texts are laid side by side, padded
        on the right where no token that counts sees it.  They may be longer than the model was trained for.
        """
        if all(start == end for start, end in wanted):
            return [np.empty((0, self.config.vocab_size), np.float32) for _ in texts]
        length = max(end for _, end in wanted) - 1
        idx = np.zeros((len(texts), length), np.int64)
        for row, text, (_, end) in zip(idx, texts, wanted, strict=True):
            row[: end - 1] = text[: end - 1]
        places = [np.arange(start - 1, end - 1) + row * length for row, (start, end) in enumerate(wanted)]
        with self.device.active(), products_in(self.precision):
            flat = self.device.array(np.concatenate(places))
            found = to_numpy(gpt.logits_at(dict(self.weights), self.config, self.device.array(idx), flat))
        return np.split(found, np.cumsum([len(each) for each in places])[:-1])

    def losses(self, inputs: np.ndarray, targets: np.ndarray) -> np.ndarray:
        """Cross-entropy of each target, (B, T); inputs and targets (B, T)."""
        with self.device.active(), products_in(self.precision):
            idx, wanted = self.device.array(inputs), self.device.array(targets)
            return to_numpy(gpt.losses(dict(self.weights), self.config, idx, wanted))


def cross_entropies(logits: np.ndarray, targets: np.ndarray) -> np.ndarray:
    """log Σ exp(logits) − logits[target] of each row, (N,).   logits (N, V), targets (N,)."""
    top = logits.max(-1, keepdims=True)
    normaliser = np.log(np.exp(logits - top).sum(-1)) + top[:, 0]
    losses: np.ndarray = normaliser - logits[np.arange(len(targets)), targets]
    return losses
