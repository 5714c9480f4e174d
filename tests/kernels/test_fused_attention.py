"""Attention head by head: values and gradients of the reference, for any heads, positions, widths and windows."""

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from numba import get_num_threads, set_num_threads

from nanochat_np.backend.products import products_in
from nanochat_np.kernels import fused_attention, reference
from nanochat_np.ops import blockwise_attention as ops
from tests.strategies import few, seeds

few_heads = st.integers(1, 3)
widths = st.sampled_from([1, 5, 32, 33, 64, 128])
windows = st.one_of(st.none(), st.sampled_from([0, 1, 7, 31, 64]), st.integers(0, 150))
ANY = {
    "batch": few_heads,
    "keys": few_heads,
    "group": few_heads,
    "time": st.integers(1, 150),
    "earlier": st.sampled_from([0, 0, 3, 8, 40]),
    "width": widths,
    "window": windows,
    "seed": seeds.map(lambda seed: seed // 8),
    "layout": st.sampled_from(["between", "contiguous", "rows with gaps"]),
}
PLAIN = {"batch": 1, "keys": 1, "group": 1, "earlier": 0, "width": 32, "seed": 0, "layout": "between"}


def draws(seed, layout, *shape):
    """Heads (B, H, T, D) as a projection leaves them, or contiguous, or with rows that are not."""
    batch, heads, time, width = shape
    x = np.random.default_rng(seed).standard_normal((batch, time, heads, width), dtype=np.float32).swapaxes(1, 2)
    if layout == "between":
        return x
    return np.ascontiguousarray(x) if layout == "contiguous" else np.repeat(x, 2, -1)[..., ::2]


def check(batch, keys, group, time, earlier, width, window, seed, layout="between"):
    q, do = (draws(seed + i, layout, batch, keys * group, time, width) for i in range(2))
    k, v = (draws(seed + 2 + i, layout, batch, keys, time + earlier, width) for i in range(2))
    o, cache = fused_attention.blockwise_attention(q, k, v, window)
    in_double = (x.astype(np.float64) for x in (q, k, v))
    expected, expected_cache = reference("blockwise_attention")(*in_double, window)
    np.testing.assert_allclose(o, expected, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(cache[4], expected_cache[4], rtol=1e-5, atol=1e-5)
    found = fused_attention.blockwise_attention_backward(do, cache)
    for gradient, exact in zip(
        found, reference("blockwise_attention_backward")(do.astype(np.float64), expected_cache), strict=True
    ):
        assert np.abs(gradient - exact).max() <= 2e-5 * max(1, np.abs(exact).max())


@few
@given(**ANY)
@example(time=129, window=None, **PLAIN)  # three blocks of queries, the last of one
@example(time=140, window=3, **PLAIN)  # blocks that see none of the first keys
@example(time=70, window=20, **PLAIN | {"earlier": 45})  # blocks of queries that end within a tile of keys
def test_values_and_gradients(batch, keys, group, time, earlier, width, window, seed, layout):
    check(batch, keys, group, time, earlier, width, window, seed, layout)


@few
@given(**ANY)
@example(time=129, window=None, **PLAIN)
@example(time=140, window=3, **PLAIN)
@example(time=71, window=20, **PLAIN | {"earlier": 45, "width": 33})
def test_in_bfloat16_all_is_within_a_hundredth(batch, keys, group, time, earlier, width, window, seed, layout):
    q, do = (draws(seed + i, layout, batch, keys * group, time, width) for i in range(2))
    k, v = (draws(seed + 2 + i, layout, batch, keys, time + earlier, width) for i in range(2))
    with products_in("bfloat16"):
        o, cache = fused_attention.blockwise_attention(q, k, v, window)
        found = o, cache[4], *fused_attention.blockwise_attention_backward(do, cache)
    in_double = [x.astype(np.float64) for x in (q, k, v, do)]
    o, cache = reference("blockwise_attention")(*in_double[:3], window)
    exact = o, cache[4], *reference("blockwise_attention_backward")(in_double[3], cache)
    for ours, theirs in zip(found, exact, strict=True):
        # (Of a single key the gradient is what is left of equal numbers.)
        assert np.linalg.norm(ours - theirs) <= 1e-2 * max(np.linalg.norm(theirs), np.linalg.norm(do))


def test_threads_change_nothing():
    q, k, v, do = (draws(i, "between", 2, 2, 100, 64) for i in range(4))
    threads, results = get_num_threads(), []
    try:
        for count in (1, threads):
            set_num_threads(count)
            o, cache = fused_attention.blockwise_attention(q, k, v, 50)
            results.append([x.tobytes() for x in (o, *fused_attention.blockwise_attention_backward(do, cache))])
    finally:
        set_num_threads(threads)
    assert results[0] == results[1]


def test_one_head_is_shared_by_threads(monkeypatch):
    monkeypatch.setattr(fused_attention, "get_num_threads", lambda: 3)
    check(1, 1, 1, 90, 0, 64, 40, 7)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_what_is_not_finite_shows(value):
    q, k, v = (draws(i, "between", 1, 1, 40, 32) for i in range(3))
    q[0, 0, 20, 5] = value
    o, _ = fused_attention.blockwise_attention(q, k, v)
    assert np.isnan(o[0, 0, 20]).all()
    assert np.isfinite(np.delete(o[0, 0], 20, 0)).all()


def test_it_is_what_runs_in_float32(monkeypatch):
    q, k, v = (draws(i, "between", 1, 1, 10, 32) for i in range(3))
    ran = []
    monkeypatch.setattr(fused_attention, "_forward", lambda *arguments: ran.append(arguments))
    ops.blockwise_attention(q, k, v)
    ops.blockwise_attention(*(x.astype(np.float64) for x in (q, k, v)))
    assert len(ran) == 1
