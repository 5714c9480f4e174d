"""A kernel and its reference compute the same thing, in both precisions and from any strides."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nanochat_np import kernels
from tests.gradcheck import as_tuple, assert_close
from tests.ops.cases import CASES, implementation, operands_of, pair
from tests.strategies import few, news, seeds

FUSED = [name for name in CASES if f"{name}_backward" in kernels.TABLE]


@pytest.mark.parametrize("name", FUSED)
@few
@given(data=st.data(), new=news("float32", "float64"))
def test_values_caches_and_gradients_agree(name, data, new):
    operands, constants = data.draw(operands_of(name, new))
    before = [x.tobytes() for x in (*operands, *constants)]
    (y, cache), (expected, expected_cache) = (
        pair(name, path)[0](*operands, *constants) for path in ("fused", "reference")
    )
    _assert_same(y, expected, new.dtype)
    for kept, expected_kept in zip(cache, expected_cache, strict=True):
        _assert_same(kept, expected_kept, new.dtype)

    # Each backward takes the cache of either forward.
    dy = new(*y.shape) if np.ndim(y) else 0.7
    backward, reference_backward = (implementation(f"{name}_backward", path) for path in ("fused", "reference"))
    expected_grads = as_tuple(reference_backward(dy, expected_cache))
    for grads in (backward(dy, cache), backward(dy, expected_cache), reference_backward(dy, cache)):
        for gradient, expected_gradient in zip(as_tuple(grads), expected_grads, strict=True):
            _assert_same(gradient, expected_gradient, new.dtype)
    assert [x.tobytes() for x in (*operands, *constants)] == before


def _assert_same(actual, expected, dtype):
    assert_close(actual, expected, dtype)
    if isinstance(expected, (np.ndarray, np.generic)):
        assert actual.dtype == expected.dtype


@few
@given(st.integers(1, 2000), st.sampled_from(["float32", "float64"]), seeds)
def test_a_long_row_loses_no_precision(width, dtype, seed):
    x = np.random.default_rng(seed).normal(size=(1, width)).astype(dtype)
    for name, constants in (("rms_norm", []), ("softmax_cross_entropy", [np.array([width - 1])])):
        y, _ = implementation(name, "fused")(x, *constants)
        expected, _ = implementation(name, "reference")(x.astype("float64"), *constants)
        assert_close(y, expected, dtype)
