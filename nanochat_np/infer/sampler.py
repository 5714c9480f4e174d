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
    return lambda logits: draw(probabilities(logits, temperature, top_k, top_p), rng)


def draw(p: np.ndarray, rng: np.random.Generator) -> int:
    """A token with the probabilities (V,), which sum to 1 but for rounding; never one of probability 0."""
    return int(min(np.searchsorted(np.cumsum(p), rng.random(), side="right"), np.flatnonzero(p)[-1]))


def check_temperature(temperature: float) -> None:
    """Raise InvalidTemperature unless ``temperature`` is finite and above 0."""
    if not (math.isfinite(temperature) and temperature > 0):
        raise InvalidTemperature(
            f"--temperature must be a finite number above 0, got {temperature}: use --greedy for the likeliest text"
        )


def probabilities(
    logits: np.ndarray, temperature: float, top_k: int = 0, top_p: float = 1.0, min_p: float = 0.0
) -> np.ndarray:
    """softmax(logits / temperature) within the nucleus, (V,) float64.

    A token whose logit is -inf has probability 0.  The maximum is taken off before the division, so any temperature
    works: close to 0 only the likeliest token is left.  ``min_p`` drops what is less likely than this share of the
    likeliest.  Sources: Holtzman et al. 2020, arXiv:1904.09751 (nucleus); Nguyen et al. 2024, arXiv:2407.01082 (min_p).
    """
    z = np.asarray(logits, np.float64)
    with np.errstate(over="ignore"):
        p = np.exp((z - z.max()) / temperature)
    if 0 < top_k < p.size:
        p[_beyond(p, top_k)] = 0
    p /= p.sum()
    if top_p < 1:
        # What is below this share holds less than 1 − top_p together, so the nucleus is in the rest: fewer to sort.
        candidates = np.flatnonzero(p >= (1 - top_p) / p.size)
        order = candidates[np.argsort(-p[candidates], kind="stable")]
        before = np.cumsum(p[order]) - p[order]  # probability of all likelier tokens
        kept = order[before < top_p]
        p = _only(p, kept)
    if min_p > 0:
        p = _only(p, np.flatnonzero(p >= min_p * p.max()))
    return p


def _beyond(p: np.ndarray, count: int) -> np.ndarray:
    """All but the ``count`` largest, of equals the first: their indices."""
    least = np.partition(p, p.size - count)[p.size - count]
    equal = np.flatnonzero(p == least)
    return np.concatenate((np.flatnonzero(p < least), equal[count - np.count_nonzero(p > least) :]))


def _only(p: np.ndarray, kept: np.ndarray) -> np.ndarray:
    """The probabilities of some tokens, to sum to 1."""
    chosen = np.zeros_like(p)
    chosen[kept] = p[kept]
    return chosen / chosen.sum()
