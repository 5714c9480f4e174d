"""The chance that one of k answers is right, against all choices of k."""

from itertools import combinations

import pytest

from nanochat_np.evaluate.pass_at import ks, pass_at


@pytest.mark.parametrize("samples", [1, 2, 5])
def test_it_is_the_mean_over_all_choices(samples):
    for count in range(samples + 1):
        answers = [True] * count + [False] * (samples - count)
        for k in range(1, samples + 1):
            chosen = list(combinations(answers, k))
            assert pass_at(k, [count], samples) == pytest.approx(sum(map(any, chosen)) / len(chosen))
    assert pass_at(1, [0, samples], samples) == 0.5


def test_which_k():
    assert ks(1) == [1]
    assert ks(2) == [1, 2]
    assert ks(12) == [1, 2, 4, 8, 12]
    assert ks(16) == [1, 2, 4, 8, 16]
