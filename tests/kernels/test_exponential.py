"""The exponential against the C library's in extended precision, compiled with the flags of the kernels that use it."""

import math

import numpy as np
import pytest

from nanochat_np.backend.jit import njit
from nanochat_np.kernels.exponential import exp, expm1


@njit(cache=True, fastmath={"reassoc", "contract"})
def _relaxed(x, y):
    for i in range(x.size):
        y[i] = exp(x[i])


@njit(cache=True)
def _strict(x, y):
    for i in range(x.size):
        y[i] = exp(x[i])


def exponentials(x, compiled):
    y = np.empty_like(x)
    compiled(x, y)
    return y


both = pytest.mark.parametrize("compiled", [_relaxed, _strict])
dtypes = pytest.mark.parametrize(("dtype", "smallest"), [("float32", -87), ("float64", -708)])


@both
@dtypes
def test_within_two_units_in_the_last_place(dtype, smallest, compiled):
    rng = np.random.default_rng(0)
    near_zero = -np.geomspace(1e-30, 1, 2000)
    halves = -np.arange(1, 40) * math.log(2) / 2  # where the reduction turns over
    x = np.concatenate([smallest * rng.random(20_000), near_zero, halves, np.nextafter(halves, 0), [0, smallest]])
    x = x.astype(dtype)
    exact = np.exp(x.astype(np.longdouble))
    unit = np.spacing(exact.astype(dtype)).astype(np.longdouble)
    assert np.max(np.abs(exponentials(x, compiled) - exact) / unit) < 2


@both
@dtypes
def test_ends_of_the_range(dtype, smallest, compiled):
    least = exponentials(np.array([smallest], dtype), compiled)
    assert 0 < least <= 1.7e-38
    far = np.array([smallest - 1, -1e30, -np.inf], dtype)
    np.testing.assert_array_equal(exponentials(far, compiled), np.repeat(least, 3))
    assert exponentials(np.zeros(1, dtype), compiled) == 1
    assert np.isnan(exponentials(np.array([np.nan] * 9, dtype), compiled)).all()


@njit(cache=True, fastmath={"contract"})
def _minus_one(x, y):
    for i in range(x.size):
        y[i] = expm1(x[i])


@dtypes
def test_minus_one_within_three_units_in_the_last_place(dtype, smallest):
    x = np.concatenate([smallest * np.random.default_rng(0).random(20_000), -np.geomspace(1e-30, 1, 5000)]).astype(
        dtype
    )
    exact = np.expm1(x.astype(np.longdouble))
    unit = np.spacing(abs(exact).astype(dtype)).astype(np.longdouble)
    assert np.max(np.abs(exponentials(x, _minus_one) - exact) / unit) < 3
