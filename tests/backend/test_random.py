import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nanochat_np.backend import stream, uniform_integers
from nanochat_np.backend.random import Draws
from tests.strategies import few, seeds


@few
@given(seeds, st.integers(0, 10**12), st.lists(st.integers(0, 9), max_size=5), st.integers(1, 2**32))
def test_any_division_of_a_range_gives_the_same_numbers(seed, first, counts, high):
    whole = uniform_integers(seed, "batches", first, sum(counts), high)
    starts = first + np.cumsum([0, *counts])
    parts = [uniform_integers(seed, "batches", int(s), n, high) for s, n in zip(starts, counts, strict=False)]
    np.testing.assert_array_equal(np.concatenate([whole[:0], *parts]), whole)
    assert whole.dtype == np.int64
    assert ((whole >= 0) & (whole < high)).all()


def test_every_integer_of_the_range_comes_up_equally_often():
    counts = np.bincount(uniform_integers(0, "batches", 0, 70_000, 7), minlength=7)
    assert counts.size == 7
    assert ((counts - 10_000) ** 2 / 10_000).sum() < 30  # chi-square, 6 degrees of freedom: p = 4e-5


def test_the_only_integer_below_one_is_zero():
    np.testing.assert_array_equal(uniform_integers(3, "batches", 5, 4, 1), np.zeros(4))


def test_names_and_seeds_are_streams_of_their_own():
    first = [stream(seed, name).integers(2**63) for seed in (0, 1, 2**63) for name in ("init", "batches", "sampling/0")]
    assert len(set(first)) == 9
    drawn = [tuple(uniform_integers(s, n, 0, 4, 2**32)) for s, n in ((0, "a"), (0, "b"), (1, "a"), (10, "a"))]
    assert len(set(drawn)) == 4


def test_a_stream_can_be_had_again():
    np.testing.assert_array_equal(stream(7, "init").standard_normal(9), stream(7, "init").standard_normal(9))


def test_numbers_are_those_of_earlier_versions():
    """Seeds are a promise: a published run must come out again under another version of NumPy."""
    assert uniform_integers(1337, "batches", 6, 5, 1000).tolist() == [639, 279, 846, 710, 858]
    assert stream(1337, "init").standard_normal(3).tolist() == pytest.approx(
        [-0.662572348057582, 0.3945746779233678, -0.45679968582059394], rel=1e-15
    )
    assert stream(1337, "sampling/0").random(3).tolist() == [
        0.4948740246437089,
        0.40741978649757504,
        0.2158870676733593,
    ]
    assert stream(1337, "validation").choice(100, 5, replace=False).tolist() == [22, 73, 72, 62, 11]


def test_draws_of_an_item_depend_on_its_name_and_number_alone():
    first = [Draws("a", i).below(1000) for i in range(200)]
    assert first == [Draws("a", i).below(1000) for i in reversed(range(200))][::-1]
    assert first != [Draws("b", i).below(1000) for i in range(200)]
    assert len(set(first)) > 150


def test_draws_are_even():
    draws = Draws("even", 3)
    counts = np.bincount([draws.below(7) for _ in range(7000)], minlength=7)
    assert len(counts) == 7
    assert abs(counts - 1000).max() < 130
    assert 2300 < sum(draws.chance(25) for _ in range(10_000)) < 2700
    assert {draws.pick("xyz") for _ in range(50)} == set("xyz")
    assert Draws("known", 0).below(2**32) == 1899140254  # items are the same on every machine
