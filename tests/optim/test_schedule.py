import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nanochat_np.optim.schedule import lr_multipliers
from tests.strategies import few

schedules = st.sampled_from(["constant", "linear", "sqrt", "cosine"])


def at(step, total, schedule="linear", **options):
    return lr_multipliers(step, 1, total, schedule, **options)[0]


def test_linear_over_ten_steps():
    expected = [1, 1, 1, 1, 1, 1, 0.8, 0.6, 0.4, 0.2]
    np.testing.assert_allclose(lr_multipliers(0, 10, 10, "linear"), expected, rtol=1e-12)
    assert at(10, 10) == 0  # one step after the end


def test_sqrt_over_ten_steps():
    expected = [*[1] * 6, *(1 - math.sqrt(k / 5) for k in range(1, 5))]
    np.testing.assert_allclose(lr_multipliers(0, 10, 10, "sqrt"), expected, rtol=1e-12)


def test_cosine_goes_through_the_middle_and_ends_at_zero():
    assert at(50, 100, "cosine") == 1
    assert at(75, 100, "cosine") == pytest.approx(0.5)
    assert at(100, 100, "cosine") == pytest.approx(0, abs=1e-15)
    quarter, three_quarters = at(625, 1000, "cosine"), at(875, 1000, "cosine")
    assert quarter == pytest.approx((1 + math.sqrt(0.5)) / 2)
    assert quarter + three_quarters == pytest.approx(1)


def test_constant_is_constant():
    np.testing.assert_array_equal(lr_multipliers(0, 7, 7, "constant"), np.ones(7))


def test_an_odd_number_of_steps_rounds_half_up():
    np.testing.assert_allclose(lr_multipliers(0, 5, 5, "linear"), [1, 1, 1, 2 / 3, 1 / 3])


@pytest.mark.parametrize("schedule", ["linear", "sqrt", "cosine"])
def test_warmdown_ratio_is_the_share_that_falls(schedule):
    np.testing.assert_array_equal(lr_multipliers(0, 10, 10, schedule, warmdown_ratio=0.0), np.ones(10))
    all_of_it = lr_multipliers(0, 10, 10, schedule, warmdown_ratio=1.0)
    assert all_of_it[0] == 1
    assert (np.diff(all_of_it) < 0).all()
    assert (np.diff(lr_multipliers(0, 10, 10, schedule, warmdown_ratio=0.3)) < 0).sum() == 2  # at the peak, then below


def test_warmup_rises_from_the_first_step_to_the_peak():
    warm = lr_multipliers(0, 10, 10, "linear", warmup_steps=4)
    np.testing.assert_allclose(warm, [0.25, 0.5, 0.75, 1, 1, 1, 0.8, 0.6, 0.4, 0.2])


def test_warmup_and_warmdown_multiply_where_they_meet():
    np.testing.assert_allclose(lr_multipliers(0, 4, 4, "linear", warmup_steps=8, warmdown_ratio=1.0)[2], 3 / 8 * 2 / 4)


@few
@given(schedules, st.integers(1, 50), st.floats(0, 1), st.floats(0, 1))
def test_falls_from_the_peak_towards_the_final_share(schedule, total, ratio, final):
    multipliers = lr_multipliers(0, total + 1, total, schedule, 0, ratio, final)
    assert multipliers[0] <= 1 + 1e-15
    assert (np.diff(multipliers) <= 1e-15).all()
    assert (multipliers >= final - 1e-15).all()
    if schedule != "constant" and math.floor(ratio * total + 0.5):
        assert multipliers[total] == pytest.approx(final, abs=1e-15)


@few
@given(schedules, st.integers(0, 30), st.integers(0, 30), st.integers(0, 9), st.floats(0, 1), st.floats(0, 1))
def test_any_run_of_steps_is_a_piece_of_the_whole(schedule, first, count, warmup, ratio, final):
    total = first + count
    options = (total, schedule, warmup, ratio, final)
    one_by_one = [lr_multipliers(step, 1, *options)[0] for step in range(first, total)]
    np.testing.assert_array_equal(lr_multipliers(first, count, *options), one_by_one)


def test_no_steps():
    assert lr_multipliers(0, 0, 0, "linear").shape == (0,)
    assert at(0, 0) == 1
