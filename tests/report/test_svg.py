"""A chart stays within its box whatever it shows, and gaps stay gaps."""

import math
import re
from xml.etree import ElementTree

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nanochat_np.report.curves import smoothed
from nanochat_np.report.record import Chart, Series
from nanochat_np.report.scale import ticks, widened
from nanochat_np.report.svg import BOTTOM, HEIGHT, LEFT, RIGHT, TOP, WIDTH, path, svg

SVG = "{http://www.w3.org/2000/svg}"
VALUES = st.lists(st.floats() | st.sampled_from([0.0, 1e-320, 1e308, -1e308, 2.5]), min_size=1, max_size=12)


def chart(values, marked=False):
    series = Series(name="a < b", steps=list(range(1, len(values) + 1)), values=values, marked=marked)
    return Chart(name="loss", title="Loss", unit="nats & bits", series=[series])


def numbers(text):
    return [float(number) for number in re.findall(r"-?[\d.]+", text)]


@given(VALUES)
def test_lines_stay_in_the_box_and_every_finite_value_is_on_one(values):
    root = ElementTree.fromstring(svg(chart(values, marked=True), "id", "a run"))
    drawn = root.find(f"{SVG}path").get("d")
    xs, ys = numbers(drawn)[::2], numbers(drawn)[1::2]
    assert len(xs) == sum(map(math.isfinite, values))
    assert all(LEFT <= x <= RIGHT for x in xs)
    assert all(TOP <= y <= BOTTOM for y in ys)
    begins = [math.isfinite(value) and not (i and math.isfinite(values[i - 1])) for i, value in enumerate(values)]
    assert drawn.count("M") == sum(begins)
    for element in root.iter():
        assert 0 <= float(element.get("x", 0)) <= WIDTH
        assert 0 <= float(element.get("y", 0)) <= HEIGHT


def test_larger_is_higher_and_later_is_further_right():
    xs, ys = (numbers(path([1, 2, 3], [1.0, 3.0, 2.0], (1, 3), (1, 3)))[start::2] for start in (0, 1))
    assert xs == [LEFT, (LEFT + RIGHT) / 2, RIGHT]
    assert ys == [BOTTOM, TOP, (BOTTOM + TOP) / 2]


def test_the_chart_says_in_words_what_it_shows():
    root = ElementTree.fromstring(svg(chart([3.0, math.nan, 1.0, 2.0]), "id", "my run"))
    assert root.get("role") == "img"
    titles = {element.get("id"): element.text for tag in ("title", "desc") for element in root.iter(SVG + tag)}
    assert [titles[name] for name in root.get("aria-labelledby").split()] == [
        "my run: Loss, nats & bits",
        "a < b: 3 at step 1, 2 at step 4, at least 1.",
    ]


@given(st.lists(st.floats(-1e300, 1e300), min_size=1), st.integers(3, 8))
def test_ticks_are_few_and_within_the_range(values, about):
    low, high = widened(values, 0.05)
    found = ticks(low, high, about)
    assert 1 <= len(found) <= about + 1
    assert all(low - 1e-9 * abs(low) <= value <= high + 1e-9 * abs(high) for value in found)


def test_ticks_are_round():
    assert ticks(0.03, 1.02, 5) == pytest.approx([0.2, 0.4, 0.6, 0.8, 1.0])
    assert ticks(0, 586, 6) == [0, 100, 200, 300, 400, 500]


def test_a_point_is_the_mean_of_the_steps_before_it():
    steps, values = np.arange(1, 6), np.array([5.0, 3.0, np.nan, 1.0, 2.0])
    kept, means = smoothed(steps, values, 3)
    assert kept.tolist() == steps.tolist()
    np.testing.assert_allclose(means, [5.0, 4.0, np.nan, 2.0, 1.5])


@given(st.integers(1, 3000), st.integers(0, 2999))
def test_long_lines_are_thinned_and_lose_no_gap(count, gap):
    values = np.ones(count)
    values[gap % count] = np.inf
    kept, means = smoothed(np.arange(1, count + 1), values, 10)
    assert len(kept) <= 400
    assert kept[-1] == count
    assert np.isnan(means).sum() == 1
    assert np.all(means[~np.isnan(means)] == 1)
