"""Penalties and bias: what was written and what was asked for move the choice."""

import numpy as np

from nanochat_np.infer.generation import Generation
from nanochat_np.infer.sampling import Sampling

LOGITS = np.array([3.0, 2.9, 2.0, -1.0])


def written(count, prompt=(3,), logits=LOGITS, **sampling):
    found = Generation(prompt, Sampling(temperature=0.0, **sampling), stop=())
    for _ in range(count):
        found.take(logits)
    return found.tokens


def test_greedy_repeats_itself():
    assert written(3) == [0, 0, 0]


def test_presence_is_taken_off_once_and_frequency_each_time():
    assert written(5, presence_penalty=0.5) == [0, 1, 0, 0, 0]
    assert written(5, frequency_penalty=0.5) == [0, 1, 0, 1, 0]
    assert written(4, presence_penalty=1.5) == [0, 1, 2, 0]
    # The prompt does not count as written.
    assert written(1, prompt=(0, 0), presence_penalty=2.0) == [0]


def test_repetition_divides_what_is_above_zero_and_multiplies_what_is_below():
    assert written(2, prompt=(0,), repetition_penalty=1.4) == [1, 0]
    below = np.array([-1.0, -1.2, -1.3])
    assert written(1, prompt=(0,), logits=below, repetition_penalty=1.25) == [1]
    assert written(1, prompt=(2,), logits=below, repetition_penalty=1.25) == [0]


def test_bias_moves_one_token():
    assert written(1, logit_bias={2: 1.5}) == [2]
    assert written(1, logit_bias={0: -100.0}) == [1]
    assert LOGITS.tolist() == [3.0, 2.9, 2.0, -1.0]


def test_a_seed_repeats_and_a_sample_number_does_not():
    def drawn(seed, sample):
        found = Generation([0], Sampling(seed=seed), stop=(), sample=sample)
        for _ in range(20):
            found.take(LOGITS)
        return found.tokens

    assert drawn(1, 0) == drawn(1, 0)
    assert len({tuple(drawn(seed, sample)) for seed in (1, 2) for sample in (0, 1)}) == 4
