import math

import pytest

from nanochat_np.evaluate.bits import bits_per_byte


def test_guessing_among_all_bytes_costs_eight_bits_each():
    assert bits_per_byte(5 * math.log(256), 5) == pytest.approx(8.0, rel=1e-15)


def test_characters_of_two_bytes_halve_the_figure():
    assert bits_per_byte(10 * math.log(4), 20) == pytest.approx(1.0, rel=1e-15)
