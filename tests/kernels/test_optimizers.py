"""The compiled passes over arrays of several blocks, which threads share (small ones: tests/optim/test_updates.py)."""

import inspect

import numpy as np
import pytest
from hypothesis import given

from nanochat_np import kernels
from nanochat_np.backend.jit import njit
from nanochat_np.kernels.optimizers import BLOCK
from nanochat_np.optim.adamw import adamw_rows_update, adamw_update
from nanochat_np.optim.clip import squared_norm
from tests.gradcheck import assert_close
from tests.strategies import few, news, sizes

SETTINGS = 0.1, 0.9, 0.99, 1e-8, 0.3, 3, 0.25


def arrays(shape, dtype="float32"):
    """p, g, m, v."""
    p, g, m, v = np.random.default_rng(0).standard_normal((4, *shape)).astype(dtype)
    return p, g, m, v * v


@pytest.mark.parametrize("shape", [(2 * BLOCK + 7,), (BLOCK // 8 + 1, 8), (3, 5)])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_adamw_takes_the_same_step_everywhere(shape, dtype):
    found, expected = arrays(shape, dtype), arrays(shape, dtype)
    adamw_update(*found, *SETTINGS)
    inspect.unwrap(adamw_update)(*expected, *SETTINGS)
    for x, y in zip(found, expected, strict=True):
        np.testing.assert_array_equal(x, y)  # the same bits
    assert (found[0] != arrays(shape, dtype)[0]).all()


@pytest.mark.parametrize("rows", [[], [0], [1, 2, 3, 700, 4999], range(5000)])
def test_adamw_of_rows_is_that_of_a_gradient_with_zeros(rows):
    shape = 5000, 20  # several blocks
    rows = np.array(rows, np.int64)
    p, g, m, v = arrays(shape)
    found, expected = ([x.copy() for x in (p, g[rows], m, v)] for _ in range(2))
    adamw_rows_update(*found, rows, *SETTINGS)
    inspect.unwrap(adamw_rows_update)(*expected, rows, *SETTINGS)
    whole = np.zeros_like(p)
    whole[rows] = g[rows]
    adamw_update(p, whole, m, v, *SETTINGS)
    for x, y, z in zip(found, expected, (p, g[rows], m, v), strict=True):
        np.testing.assert_array_equal(x, y)
        np.testing.assert_array_equal(x, z)


def test_adamw_inside_compiled_code_is_the_same():
    found, expected = arrays((9,)), arrays((9,))
    _compiled(*found)
    adamw_update(*expected, *SETTINGS)
    np.testing.assert_array_equal(found, expected)


@njit(cache=True)
def _compiled(p, g, m, v):
    adamw_update_kernel(p, g, m, v, 0.1, 0.9, 0.99, 1e-8, 0.3, 3, 0.25)


adamw_update_kernel = kernels.kernel("adamw_update")


def test_parameters_that_are_not_contiguous_are_refused():
    p, g, m, v = arrays((4, 6))
    with pytest.raises(ValueError, match="copy"):
        adamw_update(p.T, g.T, m.T, v.T, *SETTINGS)
    adamw_update(p, np.asfortranarray(g), m, v, *SETTINGS)
    np.testing.assert_array_equal(p, after_a_step((4, 6)))


def after_a_step(shape):
    found = arrays(shape)
    adamw_update(*found, *SETTINGS)
    return found[0]


@few
@given(news("float32", "float64"), sizes, sizes)
def test_squared_norm(new, rows, columns):
    x = new(rows, columns)
    found = squared_norm(x)
    assert_close(found, inspect.unwrap(squared_norm)(x), "float64")
    assert_close(found, np.sum(x.astype("float64") ** 2), "float64")


def test_squared_norm_of_many_numbers_is_exact_and_the_same_for_any_threads():
    import numba

    x = np.full((3 * BLOCK + 1, 2), 1e25, np.float32)  # whose squares are too large for float32
    threads = numba.get_num_threads()
    sums = []
    for count in {1, threads}:
        numba.set_num_threads(count)
        sums.append(squared_norm(x))
    numba.set_num_threads(threads)
    assert len(set(sums)) == 1
    np.testing.assert_allclose(sums[0], x.size * float(x[0, 0]) ** 2, rtol=1e-12)
    x[-1, -1] = np.nan
    assert np.isnan(squared_norm(x))
