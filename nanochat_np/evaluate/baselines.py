"""What models that only count would score on the validation text: the yardsticks of a training run."""

import math

import numpy as np
import numpy.typing as npt

Tokens = npt.NDArray[np.integer]


def baselines(train: Tokens, val: Tokens, vocab_size: int) -> dict[str, float]:
    """Mean nats per predicted token on ``val[1:]``, each given the token before it.

    train, val (at least 2 each,) integer tokens below V = ``vocab_size``.  Returns

    - uniform: ln V;
    - unigram: P(t) = (n_t + 1) / (N + V), n_t counted over the N tokens of ``train``;
    - bigram: P(t|c) = (n_ct + 1) / (n_c + V), n_ct counted over the pairs of ``train``, n_c = sum of n_ct over t.
    """
    return {
        "uniform": math.log(vocab_size),
        "unigram": _unigram(train, val, vocab_size),
        "bigram": _bigram(train, val, vocab_size),
    }


def _unigram(train: Tokens, val: Tokens, vocab_size: int) -> float:
    counts = np.bincount(train, minlength=vocab_size)
    return float(np.mean(np.log(train.size + vocab_size) - np.log(counts[val[1:]] + 1)))


def _bigram(train: Tokens, val: Tokens, vocab_size: int) -> float:
    # Only pairs that occur are stored: a V x V table of a large vocabulary would not fit in memory.
    pairs, counts = np.unique(_pair_codes(train, vocab_size), return_counts=True)
    wanted = _pair_codes(val, vocab_size)
    nearest = np.minimum(np.searchsorted(pairs, wanted), pairs.size - 1)
    pair_counts = np.where(pairs[nearest] == wanted, counts[nearest], 0)
    context_counts = np.bincount(train[:-1], minlength=vocab_size)[val[:-1]]
    return float(np.mean(np.log(context_counts + vocab_size) - np.log(pair_counts + 1)))


def _pair_codes(tokens: Tokens, vocab_size: int) -> npt.NDArray[np.int64]:
    return tokens[:-1].astype(np.int64) * vocab_size + tokens[1:]
