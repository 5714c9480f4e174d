"""From logits to a token: temperature, top-k, top-p."""

import math
from collections.abc import Callable

import numpy as np

from nanochat_np.errors import InvalidTemperature

Sampler = Callable[[np.ndarray], int]


def greedy(logits: np.ndarray) -> int:
    """The likeliest token; the first of equals."""
    return int(np.argmax(logits))


def random_sampler(temperature: float, top_k: int, top_p: float, rng: np.random.Generator) -> Sampler:
    """A function that draws a token from logits (V,).

    ``top_k`` keeps the k likeliest (0: all), then ``top_p`` the fewest of those that hold this share of what is left
    (1: all).  Raises InvalidTemperature unless the temperature is finite and above 0.
    """
    check_temperature(temperature)

    def draw(logits: np.ndarray) -> int:
        p = probabilities(logits, temperature, top_k, top_p)
        return int(min(np.searchsorted(np.cumsum(p), rng.random(), side="right"), np.flatnonzero(p)[-1]))

    return draw


def check_temperature(temperature: float) -> None:
    """Raise InvalidTemperature unless ``temperature`` is finite and above 0."""
    if not (math.isfinite(temperature) and temperature > 0):
        raise InvalidTemperature(
            f"--temperature must be a finite number above 0, got {temperature}: use --greedy for the likeliest text"
        )


def probabilities(logits: np.ndarray, temperature: float, top_k: int = 0, top_p: float = 1.0) -> np.ndarray:
    """softmax(logits / temperature) within the nucleus, (V,) float64.

    A token whose logit is -inf has probability 0.  The maximum is taken off before the division, so any temperature
    works: close to 0 only the likeliest token is left.  Nucleus: Holtzman et al. 2020, arXiv:1904.09751.
    """
    z = np.asarray(logits, np.float64)
    with np.errstate(over="ignore"):
        p = np.exp((z - z.max()) / temperature)
    order = np.argsort(-p, kind="stable")
    if top_k:
        p[order[top_k:]] = 0
    p /= p.sum()
    if top_p < 1:
        before = np.cumsum(p[order]) - p[order]  # probability of all likelier tokens
        p[order[before >= top_p]] = 0
        p /= p.sum()
    return p
