import math
from collections import Counter
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nanochat_np.evaluate.baselines import baselines


def losses_of(train, val, vocab_size):
    """Nats a token by name."""
    found = baselines(train, val, np.ones(vocab_size, dtype=np.int64))
    return {name: score.loss for name, score in found.items()}


def test_bits_per_byte_leave_out_special_tokens_and_count_long_characters():
    lengths = np.array([0, 1, 3])  # BOS, an ASCII character, one of three bytes
    train = np.array([0, 1, 2, 1], dtype=np.int32)
    val = np.array([1, 0, 1, 2, 2], dtype=np.int32)  # predicts BOS, and 1 + 3 + 3 bytes
    found = baselines(train, val, lengths)
    assert found["uniform"].bpb == pytest.approx(3 * math.log2(3) / 7)
    nats = -(math.log(3 / 7) + 2 * math.log(2 / 7))
    assert found["unigram"].bpb == pytest.approx(nats / (math.log(2) * 7))
    assert found["unigram"].tokens == 4


def test_positions_pick_what_is_predicted():
    rng = np.random.default_rng(0)
    train, val = rng.integers(0, 4, (2, 60)).astype(np.int32)
    lengths = np.array([0, 1, 2, 1])
    every = baselines(train, val, lengths)
    halves = [baselines(train, val, lengths, np.arange(59)[part]) for part in (slice(0, 20), slice(20, None))]
    for name, found in every.items():
        assert 20 * halves[0][name].loss + 39 * halves[1][name].loss == pytest.approx(59 * found.loss)
    assert halves[0]["bigram"].tokens == 20


def test_a_hand_computed_example():
    # V = 3. Train 0 1 2 1 1: counts 1, 3, 1 of 5; pairs 01 12 21 11, contexts 0: 1, 1: 2, 2: 1.
    train = np.array([0, 1, 2, 1, 1], dtype=np.int32)
    # Validation predicts 1 after 2, then 2 after 1, then 0 after 2, then 0 after 0.
    val = np.array([2, 1, 2, 0, 0], dtype=np.int32)
    got = losses_of(train, val, 3)
    assert got == pytest.approx(
        {
            "uniform": math.log(3),
            "unigram": -(math.log(4 / 8) + math.log(2 / 8) + math.log(2 / 8) + math.log(2 / 8)) / 4,
            "bigram": -(math.log(2 / 4) + math.log(2 / 5) + math.log(1 / 4) + math.log(1 / 4)) / 4,
        },
        rel=1e-14,
    )


def brute_force(train, val, vocab_size):
    unigram, pairs, contexts = Counter(train), Counter(pairwise(train)), Counter(train[:-1])
    predicted = list(pairwise(val))
    return {
        "uniform": -math.log(1 / vocab_size),
        "unigram": -sum(math.log((unigram[t] + 1) / (len(train) + vocab_size)) for _, t in predicted) / len(predicted),
        "bigram": -sum(math.log((pairs[c, t] + 1) / (contexts[c] + vocab_size)) for c, t in predicted) / len(predicted),
    }


@st.composite
def token_lists(draw):
    vocab_size = draw(st.integers(1, 9))
    tokens = st.lists(st.integers(0, vocab_size - 1), min_size=2, max_size=40)
    return draw(tokens), draw(tokens), vocab_size


@given(token_lists())
def test_agrees_with_counting_in_dictionaries(case):
    train, val, vocab_size = case
    got = losses_of(np.array(train, dtype=np.int32), np.array(val, dtype=np.int32), vocab_size)
    assert got == pytest.approx(brute_force(train, val, vocab_size), rel=1e-12, abs=1e-12)


def test_a_large_vocabulary_needs_no_square_table():
    vocab_size = 2**17  # a V x V table would take 137 GB
    train = np.array([0, 5, 0, 5], dtype=np.int32)
    seen = losses_of(train, train[:2], vocab_size)
    assert seen["bigram"] == pytest.approx(math.log((2 + vocab_size) / 3), rel=1e-12)
    # 2**15 · V is 0 in 32 bits, but this pair is not the one above.
    unseen = losses_of(train, np.array([2**15, 5], dtype=np.int32), vocab_size)
    assert unseen["bigram"] == pytest.approx(math.log(vocab_size), rel=1e-12)
