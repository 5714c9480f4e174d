"""The compiled passes of Muon beside their references."""

import inspect
import math

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from numba import get_num_threads, set_num_threads

from nanochat_np import kernels
from nanochat_np.backend.products import products_in
from nanochat_np.kernels import polar_express
from nanochat_np.ops import matmul
from nanochat_np.optim import muon
from tests.gradcheck import assert_close
from tests.strategies import few, news, sizes

DTYPES = ["float32", "bfloat16"]


def both(name):
    """The reference and the kernel."""
    return inspect.unwrap(getattr(muon, name)), kernels.kernel(name)


@few
@given(news("float32", "float64"), sizes, sizes, sizes)
def test_momentum(new, count, rows, columns):
    g, start = new(count, rows, columns), np.ascontiguousarray(new(count, rows, columns))
    before, results = g.tobytes(), []
    for function in both("nesterov"):
        momentum_buffer, out = start.copy(), np.empty_like(start)
        function(g, momentum_buffer, 0.9, 0.5, out)
        results.append((out, momentum_buffer))
    for fused, expected in zip(*results[::-1], strict=True):
        np.testing.assert_array_equal(fused, expected)  # the same bits
        assert fused.dtype == expected.dtype
    assert g.tobytes() == before


@pytest.mark.parametrize("axis", [-1, -2])
@few
@given(news("float32", "float64"), sizes, sizes, sizes)
def test_square_sums(axis, new, count, rows, columns):
    x = new(count, rows, columns)
    expected, found = (function(x, axis) for function in both("square_sums"))
    assert_close(found, expected, new.dtype)
    assert found.dtype == expected.dtype


@few
@given(news("float32", "float64"), sizes, sizes)
def test_polynomial(new, count, k):
    s, square = new(count, k, k), new(count, k, k)
    expected, found = (function(s, square.copy(), 3.0, -2.0, 0.5) for function in both("polynomial"))
    assert_close(found, expected, new.dtype)
    assert_close(found, 3 * np.eye(k) - 2 * s + 0.5 * square, new.dtype)


@few
@given(news("float32", "float64"), sizes, sizes, sizes, st.sampled_from([0.0, 0.3]))
def test_descent(new, count, rows, columns, weight_decay):
    p, x = (np.ascontiguousarray(new(count, rows, columns)) for _ in range(2))
    x[0, 0, 0] = 0  # no step either way: decay joins
    results = []
    for function in both("cautious_descent"):
        results.append(p.copy())
        function(results[-1], x, 0.1, weight_decay)
    np.testing.assert_array_equal(*results)
    assert_close(results[0], np.where(x * p >= 0, p - 0.1 * x - 0.1 * weight_decay * p, p - 0.1 * x), new.dtype)


@few
@given(shape=st.tuples(st.integers(1, 90), st.integers(1, 90)), count=st.integers(1, 3), dtype=st.sampled_from(DTYPES))
@example(shape=(70, 300), count=3, dtype="bfloat16")
@example(shape=(300, 65), count=1, dtype="float32")
def test_orthogonalization(shape, count, dtype):
    """As near to the exact result as the reference, which in bfloat16 is not very near."""
    u = np.random.default_rng(0).standard_normal((count, *shape)).astype(np.float32)
    before = u.tobytes()
    with products_in(dtype), pytest.MonkeyPatch.context() as patch:
        found = muon.orthogonalized(u)
        patch.setattr(matmul, "_SURELY_SMALL", 0)  # so that the reference rounds the operands of small products too
        with kernels.reference_only():
            expected = muon.orthogonalized(u)
    assert u.tobytes() == before
    exact = muon.orthogonalized(u.astype(np.float64))
    error, usual = (np.linalg.norm(x - exact, axis=(1, 2)) for x in (found, expected))
    own = 1e-5 if dtype == "float32" else 0.02  # a sum in another order may round to the next bfloat16
    assert (error <= 2 * usual + own * np.linalg.norm(exact, axis=(1, 2))).all()


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", [(1, 1), (2, 33), (33, 2), (65, 31), (31, 65), (40, 40)])
def test_orthogonalization_stays_in_its_room(shape, dtype, monkeypatch):
    made = []

    def guarded(shape, dtype, like):
        memory = np.full(math.prod(shape) + 64, 7, dtype)
        made.append(memory)
        return memory[:-64].reshape(shape)

    monkeypatch.setattr(polar_express, "empty", guarded)
    with products_in(dtype):
        muon.orthogonalized(np.ones((3, *shape), np.float32))
    assert len(made) == 5
    assert all((memory[-64:] == 7).all() for memory in made)


def test_orthogonalization_of_zeros_is_zero():
    assert not muon.orthogonalized(np.zeros((2, 3, 4), np.float32)).any()


@pytest.mark.parametrize("dtype", DTYPES)
def test_threads_change_nothing(dtype):
    u = np.random.default_rng(0).standard_normal((3, 70, 90)).astype(np.float32)
    threads, results = get_num_threads(), []
    try:
        for count in (1, threads):
            set_num_threads(count)
            with products_in(dtype):
                results.append(muon.orthogonalized(u))
    finally:
        set_num_threads(threads)
    np.testing.assert_array_equal(*results)


@pytest.mark.parametrize("shape", [(20, 20), (70, 30), (30, 70)])
def test_an_update(shape):
    rng = np.random.default_rng(0)
    g = rng.standard_normal((3, 2, *shape)).astype(np.float32)
    results = []
    for context in (kernels.reference_only, kernels.contextlib.nullcontext):
        state = np.ones((2, *shape), np.float32), np.zeros((2, *shape), np.float32)
        second = np.zeros((2, *muon.second_moment_shape(*shape)), np.float32)
        with context():
            for k in range(3):
                muon.muon_update(state[0], g[k], state[1], second, 0.02, 0.9, 0.9, 0.1, 2.0)
        results.append((*state, second))
    for fused, expected in zip(*results[::-1], strict=True):
        np.testing.assert_allclose(fused, expected, rtol=1e-4, atol=1e-5)
