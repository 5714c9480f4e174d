"""What models that only count would score on the validation text: the yardsticks of a training run."""

import math

import numpy as np
import numpy.typing as npt

from nanochat_np.evaluate.bits import Tally, Validation

Tokens = npt.NDArray[np.integer]
Nats = npt.NDArray[np.float64]


def baselines(
    train: Tokens, val: Tokens, byte_lengths: npt.NDArray[np.integer], positions: npt.NDArray[np.integer] | None = None
) -> dict[str, Validation]:
    """Losses on ``val[1:]``, each token given the one before it.

    train, val (at least 2 each,) integer tokens below V; ``byte_lengths`` (V,), 0 for special tokens; ``positions``
    (n,) picks from ``val[1:]``, all of it by default.  Returns

    - uniform: ln V;
    - unigram: P(t) = (n_t + 1) / (N + V), n_t counted over the N tokens of ``train``;
    - bigram: P(t|c) = (n_ct + 1) / (n_c + V), n_ct counted over the pairs of ``train``, n_c = sum of n_ct over t.
    """
    vocab_size, chosen = len(byte_lengths), slice(None) if positions is None else positions
    nll = {
        "uniform": np.full(val.size - 1, math.log(vocab_size)),
        "unigram": _unigram(train, val, vocab_size),
        "bigram": _bigram(train, val, vocab_size),
    }
    lengths = byte_lengths[val[1:]][chosen]
    return {name: _scored(values[chosen], lengths) for name, values in nll.items()}


def _scored(nll: Nats, byte_lengths: npt.NDArray[np.integer]) -> Validation:
    tally = Tally()
    tally.add(nll, byte_lengths)
    return tally.result()


def _unigram(train: Tokens, val: Tokens, vocab_size: int) -> Nats:
    counts = np.bincount(train, minlength=vocab_size)
    return np.log(train.size + vocab_size) - np.log(counts[val[1:]] + 1)


def _bigram(train: Tokens, val: Tokens, vocab_size: int) -> Nats:
    # Only pairs that occur are stored: a V x V table of a large vocabulary would not fit in memory.
    pairs, counts = np.unique(_pair_codes(train, vocab_size), return_counts=True)
    wanted = _pair_codes(val, vocab_size)
    nearest = np.minimum(np.searchsorted(pairs, wanted), pairs.size - 1)
    pair_counts = np.where(pairs[nearest] == wanted, counts[nearest], 0)
    context_counts = np.bincount(train[:-1], minlength=vocab_size)[val[:-1]]
    return np.log(context_counts + vocab_size) - np.log(pair_counts + 1)


def _pair_codes(tokens: Tokens, vocab_size: int) -> npt.NDArray[np.int64]:
    return tokens[:-1].astype(np.int64) * vocab_size + tokens[1:]
