"""Matrix products in compiled code: any shape and layout, nothing written or read that is outside of the arrays.

The choice of instructions is forced by what Numba reads from its environment, in a process of its own.
"""

import os
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from numba import get_num_threads, set_num_threads

from nanochat_np.backend.products import products_in
from nanochat_np.kernels import gemm, reference
from nanochat_np.ops.matmul import matmul, packed, round_to_bfloat16
from tests.strategies import few

sizes = st.one_of(st.integers(1, 70), st.sampled_from([8, 32, 64, 128, 256, 257, 513]))
layouts = st.sampled_from(["rows", "columns", "part of rows", "part of columns"])
dtypes = st.sampled_from(["float32", "bfloat16"])


def operand(layout, rows, columns, seed):
    """An array (rows, columns) of that layout."""
    if "columns" in layout:
        return operand(layout.replace("columns", "rows"), columns, rows, seed).T
    values = np.random.default_rng(seed).standard_normal((rows + 2, columns + 3), dtype=np.float32)
    return values[1:-1, 2:-1] if "part" in layout else np.ascontiguousarray(values[:rows, :columns])


@few
@given(m=sizes, k=sizes, n=sizes, of_x=layouts, of_y=layouts, dtype=dtypes)
@example(m=90, k=1030, n=600, of_x="rows", of_y="columns", dtype="float32")  # several blocks along each axis
@example(m=300, k=550, n=100, of_x="columns", of_y="rows", dtype="bfloat16")
def test_it_is_the_product_and_nothing_else_is_written(m, k, n, of_x, of_y, dtype):
    x, y = operand(of_x, m, k, 1), operand(of_y, k, n, 2)
    around = np.full((m + 2, n + 5), 7.0, np.float32)
    out = around[1:-1, 2:-3]
    out.fill(np.nan)
    with products_in(dtype):
        gemm.matrix_product(x, y, out)
    if dtype == "bfloat16":
        x, y = round_to_bfloat16(x), round_to_bfloat16(y)
    expected = x.astype(np.float64) @ y
    scale = np.abs(x).astype(np.float64) @ np.abs(y)
    assert (np.abs(out - expected) <= 1e-6 * scale).all()
    out.fill(7)
    assert (around == 7).all()


@few
@given(m=sizes, k=sizes, n=sizes, of_x=layouts, of_y=layouts, dtype=dtypes)
def test_a_packed_operand_and_a_sum_are_those_of_the_product(m, k, n, of_x, of_y, dtype):
    x, y = operand(of_x, m, k, 1), operand(of_y, k, n, 2)
    with products_in(dtype):
        product = matmul(x, y, np.empty((m, n), np.float32))
        np.testing.assert_array_equal(matmul(x, packed(y)), product)
        total = np.ones((m, n), np.float32)
        assert matmul(x, packed(y), total, add=True) is total
    np.testing.assert_allclose(total, 1 + product, rtol=1e-5, atol=1e-5 * np.abs(product).max())


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_a_stack_is_multiplied_matrix_by_matrix(dtype):
    x, y = (np.random.default_rng(i).standard_normal((3, 128, 150), dtype=np.float32) for i in range(2))
    with products_in(dtype):
        found = matmul(x, y.swapaxes(1, 2))
        expected = reference("stack_product")(x, y.swapaxes(1, 2), np.empty_like(found))
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-4)


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
@pytest.mark.parametrize(("m", "k"), [(100, 200), (257, 64), (300, 300)])
def test_a_symmetric_product_is_the_product_and_symmetric(m, k, dtype):
    x = np.stack([operand("rows", m, k, seed) for seed in range(2)])
    out = np.full((2, m, m), np.nan, np.float32)
    with products_in(dtype):
        for left, right in ((x, x.swapaxes(1, 2)), (x.swapaxes(1, 2).copy().swapaxes(1, 2), x.swapaxes(1, 2).copy())):
            gemm.symmetric_stack_product(left, right, out)
            expected = gemm.stack_product(left, right, np.empty_like(out))
            np.testing.assert_array_equal(np.triu(out), np.triu(expected))
            np.testing.assert_array_equal(out, out.swapaxes(1, 2))


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_threads_change_nothing(dtype):
    x, y = operand("rows", 300, 700, 1), operand("columns", 700, 90, 2)
    threads, results = get_num_threads(), []
    try:
        for count in (1, threads):
            set_num_threads(count)
            with products_in(dtype):
                results.append(gemm.matrix_product(x, y, np.empty((300, 90), np.float32)))
    finally:
        set_num_threads(threads)
    assert results[0].tobytes() == results[1].tobytes()


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_what_is_not_finite_stays_so(dtype, value):
    x, y = operand("rows", 20, 30, 1), operand("rows", 30, 40, 2)
    x[3, 5] = value
    out = np.empty((20, 40), np.float32)
    with products_in(dtype), np.errstate(invalid="ignore"):
        gemm.matrix_product(x, y, out)
        expected = reference("matrix_product")(x, y, np.empty_like(out))
    np.testing.assert_array_equal(np.isnan(out), np.isnan(expected))
    np.testing.assert_array_equal(np.isinf(out), np.isinf(expected))
    assert not np.isfinite(out[3]).any()
    assert np.isfinite(np.delete(out, 3, 0)).all()


BITS = st.integers(0, 2**32 - 1)


@given(st.lists(BITS, min_size=1, max_size=40))
def test_rounding_is_to_the_nearest_ties_to_even(bits):
    x = np.array(bits, np.uint32).view(np.float32)
    rounded = round_to_bfloat16(x)
    np.testing.assert_array_equal(np.isnan(rounded), np.isnan(x))
    kept = rounded.view(np.uint32)[~np.isnan(x)]
    assert (kept & 0xFFFF == 0).all()
    for value, found in zip(x[~np.isnan(x)], kept, strict=True):
        below = int(value.view(np.uint32)) & 0xFFFF0000
        rest = int(value.view(np.uint32)) - below
        up = rest > 0x8000 or (rest == 0x8000 and below & 0x10000)
        assert int(found) == below + (0x10000 if up else 0)


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_the_product_of_the_package_is_this_one(dtype, monkeypatch):
    x, y = operand("rows", 128, 128, 1), operand("rows", 128, 128, 2)
    called = []
    monkeypatch.setattr(gemm, "_multiply", lambda *arguments: called.append(arguments))
    with products_in(dtype):
        matmul(x, y)
        matmul(x.astype(np.float64), y.astype(np.float64))
        matmul(x[:7], y)
        matmul(x[:, ::2], y[::2])
    assert [pairs for _, pairs, *_ in called] == [dtype == "bfloat16"]


TARGETS = {
    "this CPU": {},
    "AVX-512 without bfloat16": {
        "NUMBA_CPU_NAME": "skylake-avx512",
        "NUMBA_CPU_FEATURES": "+avx,+avx2,+fma,+avx512f,+avx512bw,+avx512cd,+avx512dq,+avx512vl",
    },
    "AVX2": {"NUMBA_CPU_NAME": "haswell", "NUMBA_CPU_FEATURES": "+avx,+avx2,+fma"},
    "any": {"NUMBA_CPU_NAME": "generic", "NUMBA_CPU_FEATURES": ""},
}
# Operands end where a page begins that may not be read; the output of a forced CPU is compared with NumPy's.
GUARDED = """
import ctypes, mmap, sys
import numpy as np
from nanochat_np.backend.products import products_in
from nanochat_np.kernels import gemm, target
from nanochat_np.ops.matmul import round_to_bfloat16

libc = ctypes.CDLL(None, use_errno=True)
kept = []

def guarded(x):
    pages = -(-x.nbytes // mmap.PAGESIZE) * mmap.PAGESIZE
    memory = mmap.mmap(-1, pages + mmap.PAGESIZE)
    start = ctypes.addressof(ctypes.c_char.from_buffer(memory))
    assert libc.mprotect(ctypes.c_void_p(start + pages), mmap.PAGESIZE, 0) == 0
    kept.append(memory)
    values = np.frombuffer(memory, np.float32, x.size, pages - x.nbytes).reshape(x.shape)
    values[...] = x
    return values

rng = np.random.default_rng(0)
for m, k, n in [(1, 1, 1), (8, 16, 32), (9, 17, 33), (13, 5, 70), (70, 66, 31), (300, 270, 45)]:
    x, y = (guarded(rng.standard_normal(s, dtype=np.float32)) for s in ((m, k), (k, n)))
    xt, yt = guarded(np.ascontiguousarray(x.T)).T, guarded(np.ascontiguousarray(y.T)).T
    for dtype in ("float32", "bfloat16"):
        a, b = (x, y) if dtype == "float32" else map(round_to_bfloat16, (x, y))
        expected = a.astype(np.float64) @ b
        for left in (x, xt):
            for right in (y, yt):
                out = guarded(np.zeros((m, n), np.float32))
                with products_in(dtype):
                    gemm.matrix_product(left, right, out)
                assert np.allclose(out, expected, rtol=1e-5, atol=1e-4), (m, k, n, dtype)
print(*target.tile(), target.bfloat16_kind(), target.has_fast_tile())
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="needs mprotect of Linux's libc")
@pytest.mark.parametrize("name", TARGETS)
def test_a_forced_choice_of_instructions_reads_nothing_outside(name, tmp_path):
    forced = {**os.environ, **TARGETS[name], "NUMBA_CACHE_DIR": str(tmp_path)}
    found = subprocess.run([sys.executable, "-c", GUARDED], env=forced, capture_output=True, text=True, check=False)
    assert found.returncode == 0, found.stderr
    expected = {
        "AVX-512 without bfloat16": "8 2 16 bfloat16 True",
        "AVX2": "4 3 8 bfloat16 True",
        "any": "4 2 4 bfloat16 False",
    }
    if name in expected and os.uname().machine == "x86_64":
        assert found.stdout.strip() == expected[name]
