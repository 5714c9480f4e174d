import math

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from nanochat_np.errors import ConfigError, InvalidTemperature
from nanochat_np.infer.sampler import candidates, greedy, random_sampler
from tests.strategies import few

logits = st.lists(st.integers(-30, 30).map(lambda n: n / 8), min_size=1, max_size=7).map(np.array)


def probabilities(z, *args, **named):
    """Of all tokens, (V,)."""
    p = np.zeros(len(z))
    tokens, p_of_tokens = candidates(z, *args, **named)
    assert (np.diff(tokens) > 0).all()
    p[tokens] = p_of_tokens
    return p


def by_hand(z, temperature, top_k, top_p):
    """The definition, token by token, in Python's floats."""
    weights = [math.exp((x - max(z)) / temperature) for x in z]
    likeliest = sorted(range(len(z)), key=lambda i: -weights[i])  # stable: the first of equals first
    kept = likeliest[: top_k or len(z)]
    mass, nucleus = math.fsum(weights[i] for i in kept), []
    for i in kept:
        held = math.fsum(weights[j] for j in nucleus) / mass
        assume(abs(held - top_p) > 1e-9)  # where rounding decides
        if held >= top_p:
            break
        nucleus.append(i)
    total = math.fsum(weights[i] for i in nucleus)
    return [weights[i] / total if i in nucleus else 0 for i in range(len(z))]


@few
@given(logits, st.sampled_from([0.1, 0.8, 1.0, 3.0, 100.0]), st.integers(0, 8), st.floats(0.01, 1))
def test_probabilities_are_the_definition(z, temperature, top_k, top_p):
    np.testing.assert_allclose(
        probabilities(z, temperature, top_k, top_p), by_hand(z, temperature, top_k, top_p), atol=1e-12
    )


def test_known_values():
    z = np.log([1.0, 4.0, 2.0, 1.0])
    np.testing.assert_allclose(probabilities(z, 1.0), [0.125, 0.5, 0.25, 0.125])
    np.testing.assert_allclose(probabilities(z, 0.5), np.array([1, 16, 4, 1]) / 22)
    np.testing.assert_allclose(probabilities(z, 1.0, top_k=2), [0, 2 / 3, 1 / 3, 0])
    np.testing.assert_allclose(probabilities(z, 1.0, top_p=0.8), [0.5 / 3.5, 2 / 3.5, 1 / 3.5, 0])
    np.testing.assert_allclose(probabilities(z, 1.0, top_k=3, top_p=0.5), [0, 1, 0, 0])  # 4/7 of what top-k left
    np.testing.assert_array_equal(probabilities(np.zeros(2), 1.0, top_p=0.5), [1, 0])  # the first half is enough
    np.testing.assert_allclose(probabilities(z, 1.0, min_p=0.5), [0, 2 / 3, 1 / 3, 0])
    np.testing.assert_allclose(probabilities(z, 1.0, min_p=0.51), [0, 1, 0, 0])


@pytest.mark.parametrize("temperature", [1e-300, 1e-9, 1e-3])
def test_close_to_zero_only_the_likeliest_is_left(temperature):
    z = np.array([-np.inf, 3e9, 3e9 + 2, -1e9])  # divided by 1e-300, these overflow
    np.testing.assert_array_equal(probabilities(z, temperature), [0, 0, 1, 0])
    assert random_sampler(temperature, 0, 1.0, np.random.default_rng(0))(z) == 2


def test_far_from_zero_all_are_alike():
    np.testing.assert_allclose(probabilities(np.array([0.0, 1.0, -np.inf, 2.0]), 1e9), [1 / 3, 1 / 3, 0, 1 / 3])


@pytest.mark.parametrize("top_p", [1e-300, 1e-9])
def test_the_smallest_nucleus_is_the_likeliest_token(top_p):
    np.testing.assert_array_equal(probabilities(np.array([1.0, 2.0, 2.0]), 1.0, top_p=top_p), [0, 1, 0])


def test_does_not_write_the_logits():
    z = np.array([1.0, 2.0, 3.0])
    probabilities(z, 0.5, 2, 0.9)
    np.testing.assert_array_equal(z, [1, 2, 3])


@pytest.mark.parametrize("temperature", [0.0, -1.0, math.nan, math.inf])
def test_a_temperature_is_finite_and_above_zero(temperature):
    with pytest.raises(
        InvalidTemperature, match=rf"--temperature must be .* got {temperature}: use --greedy"
    ) as caught:
        random_sampler(temperature, 0, 1.0, np.random.default_rng(0))
    assert isinstance(caught.value, ConfigError)


@pytest.mark.parametrize(("temperature", "top_k", "top_p"), [(1.0, 0, 1.0), (0.7, 3, 1.0), (2.0, 0, 0.8)])
def test_draws_are_as_frequent_as_their_probabilities(temperature, top_k, top_p):
    z = np.array([-np.inf, 0.5, 2.0, 1.0, 0.0])
    draw, n = random_sampler(temperature, top_k, top_p, np.random.default_rng(5)), 4000
    counts = np.bincount([draw(z) for _ in range(n)], minlength=5)
    p = probabilities(z, temperature, top_k, top_p)
    assert (counts[p == 0] == 0).all()
    possible = p > 0
    assert ((counts - n * p)[possible] ** 2 / (n * p)[possible]).sum() < 20  # chi-square, at most 3 degrees of freedom


class Constant:
    """A generator that always gives one number."""

    def __init__(self, value):
        self.value = value

    def random(self):
        return self.value


@pytest.mark.parametrize(("number", "token"), [(0.0, 1), (0.2499, 1), (0.25, 2), (0.999999, 4), (1 - 2**-53, 4)])
def test_a_number_falls_into_the_share_of_its_token(number, token):
    z = np.array([-np.inf, 0.0, 0.0, 0.0, 0.0, -np.inf])
    assert random_sampler(1.0, 0, 1.0, Constant(number))(z) == token


def test_the_largest_number_falls_into_the_last_share_even_where_rounding_leaves_a_gap():
    z = np.array([*np.zeros(10), -np.inf])
    assert np.cumsum(probabilities(z, 1.0))[-1] < 1
    assert random_sampler(1.0, 0, 1.0, Constant(1 - 2**-53))(z) == 9


def test_greedy_takes_the_first_of_the_likeliest():
    token = greedy(np.array([0.0, 3.0, 3.0]))
    assert token == 1
    assert type(token) is int
