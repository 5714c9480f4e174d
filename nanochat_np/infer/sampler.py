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
    return lambda logits: draw(*candidates(logits, temperature, top_k, top_p), rng)


def draw(tokens: np.ndarray, p: np.ndarray, rng: np.random.Generator) -> int:
    """One of the tokens (n,), with probabilities (n,) that sum to 1 but for rounding; never one of probability 0."""
    return int(tokens[min(np.searchsorted(np.cumsum(p), rng.random(), side="right"), np.flatnonzero(p)[-1])])


def check_temperature(temperature: float) -> None:
    """Raise InvalidTemperature unless ``temperature`` is finite and above 0."""
    if not (math.isfinite(temperature) and temperature > 0):
        raise InvalidTemperature(
            f"--temperature must be a finite number above 0, got {temperature}: use --greedy for the likeliest text"
        )


def candidates(
    logits: np.ndarray, temperature: float, top_k: int = 0, top_p: float = 1.0, min_p: float = 0.0
) -> tuple[np.ndarray, np.ndarray]:
    """The tokens that can be drawn, (n,) in order, and softmax(logits / temperature) among them, (n,) float64.

    A token whose logit is -inf has probability 0.  The maximum is taken off before the division, so any temperature
    works: close to 0 only the likeliest token is left.  ``min_p`` drops what is less likely than this share of the
    likeliest.  Sources: Holtzman et al. 2020, arXiv:1904.09751 (nucleus); Nguyen et al. 2024, arXiv:2407.01082 (min_p).
    """
    tokens = _largest(logits, top_k) if 0 < top_k < logits.size else np.arange(logits.size)
    z = logits[tokens].astype(np.float64)
    with np.errstate(over="ignore"):
        p = np.exp((z - z.max()) / temperature)
    p /= p.sum()
    if top_p < 1:
        tokens, p = _only(_nucleus(p, top_p), tokens, p)
    if min_p > 0:
        tokens, p = _only(np.flatnonzero(p >= min_p * p.max()), tokens, p)
    return tokens, p


def _largest(z: np.ndarray, count: int) -> np.ndarray:
    """Indices of the ``count`` largest, of equals the first, in order."""
    least = np.partition(z, z.size - count)[z.size - count]
    above, equal = np.flatnonzero(z > least), np.flatnonzero(z == least)
    return np.sort(np.concatenate((above, equal[: count - above.size])))


def _nucleus(p: np.ndarray, top_p: float) -> np.ndarray:
    """Indices of the fewest, the likeliest first, that hold ``top_p``, in order."""
    # What is below this share holds less than 1 − top_p together, so all of them are in the rest: fewer to sort.
    likely = np.flatnonzero(p >= (1 - top_p) / p.size)
    order = likely[np.argsort(-p[likely], kind="stable")]
    before = np.cumsum(p[order]) - p[order]  # probability of all likelier tokens
    return np.sort(order[before < top_p])


def _only(kept: np.ndarray, tokens: np.ndarray, p: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    chosen = p[kept]
    return tokens[kept], chosen / chosen.sum()
