"""What a request says about how its tokens are chosen, and the choice."""

import msgspec
import numpy as np

from nanochat_np.infer.sampler import candidates, draw


class Sampling(msgspec.Struct, frozen=True, kw_only=True):
    """How tokens are chosen; temperature 0 is greedy.

    ``repetition_penalty`` divides the logits above 0 of all tokens seen, prompt included, and multiplies those below
    (Keskar et al. 2019, arXiv:1909.05858); ``presence_penalty`` is taken off the logits of tokens written before, and
    ``frequency_penalty`` once for each time.  ``logprobs`` asks for the logarithm of the probability of each token, and
    of so many of the likeliest in its place, all before temperature, penalties and bias.
    """

    max_tokens: int = 256
    temperature: float = 1.0
    top_k: int = 0
    top_p: float = 1.0
    min_p: float = 0.0
    repetition_penalty: float = 1.0
    presence_penalty: float = 0.0
    frequency_penalty: float = 0.0
    logit_bias: dict[int, float] = {}
    seed: int = 0
    logprobs: int | None = None

    @property
    def penalises(self) -> bool:
        """Whether what was written decides about what is written."""
        return (self.repetition_penalty, self.presence_penalty, self.frequency_penalty) != (1.0, 0.0, 0.0)


def choose(logits: np.ndarray, sampling: Sampling, counts: np.ndarray | None, rng: np.random.Generator) -> int:
    """A token by its logits (V,) float32 or float64.

    ``counts`` (2, V) says how often each token is in prompt and answer, and how often in the answer; only penalties
    ask for it.
    """
    if counts is not None:
        logits = _penalised(logits, sampling, *counts)
    if sampling.logit_bias:
        logits = logits.copy()
        for token, bias in sampling.logit_bias.items():
            logits[token] += bias
    if sampling.temperature == 0:
        return int(np.argmax(logits))
    found = candidates(logits, sampling.temperature, sampling.top_k, sampling.top_p, sampling.min_p)
    return draw(*found, rng)


def _penalised(logits: np.ndarray, sampling: Sampling, seen: np.ndarray, written: np.ndarray) -> np.ndarray:
    factor = np.where(logits > 0, 1 / sampling.repetition_penalty, sampling.repetition_penalty)
    repeated = np.where(seen > 0, logits * factor, logits)
    return repeated - sampling.presence_penalty * (written > 0) - sampling.frequency_penalty * written
