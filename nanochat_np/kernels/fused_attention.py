"""Causal attention head by head, with products in float32 or bfloat16 (reference: `ops.blockwise_attention`).

A thread takes the keys and values of a head into panels and goes through its queries, a tile's rows at a time: their
scores against the keys that any of them sees, the softmax, weights times values.  No score leaves the cache, and of
what is not seen only the corners of tiles are computed.  The backward makes the weights again from the logarithm of
their sum; those of a block of queries stay in panels, and from them the block adds to the gradients of all keys and
values that it sees.  Source: Dao et al. 2022, arXiv:2205.14135; a CPU's cache is large enough to do without blocks of
keys.
"""

import math
from typing import Any

import numpy as np
from numba import get_num_threads, prange

from nanochat_np.backend import empty
from nanochat_np.backend.jit import njit
from nanochat_np.backend.products import product_dtype
from nanochat_np.kernels.blocks import pair_rows
from nanochat_np.kernels.blockwise_attention import clear, head_dots, reach, softmax, softmax_backward
from nanochat_np.kernels.micro_kernel import NUMBER
from nanochat_np.kernels.tiles import (
    COLUMNS,
    PANEL_ROW,
    ROWS,
    address,
    multiply,
    multiply_panel,
    panel_of_columns,
    panel_of_rows,
    steps_of,
    whole,
)

_BLOCK = 64  # queries whose weights are kept, a multiple of a tile's rows


def blockwise_attention(
    q: np.ndarray, k: np.ndarray, v: np.ndarray, window: int | None = None
) -> tuple[np.ndarray, tuple[Any, ...]]:
    """As `ops.blockwise_attention.blockwise_attention`."""
    batch, heads, time, width = q.shape
    keys, length = k.shape[1:3]
    q, k, v = (_with_rows(x) for x in (q, k, v))
    o, lse = _like(q), np.empty((batch, heads, time), q.dtype)
    # Where there are fewer heads than threads, several threads share the queries of one.
    parts = max(1, -(-get_num_threads() // (batch * keys)))
    tiles, panels = _memory(
        q, whole(length, COLUMNS) * width + whole(width, COLUMNS) * length, rows=2 * ROWS, length=length
    )
    sizes = product_dtype() == "bfloat16", batch, heads, keys, time, length, width, parts
    places = (place for x in (q, k, v, o) for place in (address(x), *x.strides[:3]))
    _forward(*sizes, reach(window), np.float32(1 / math.sqrt(width)), *places, lse, tiles, panels)
    return o, (q, k, v, o, lse, window)


def blockwise_attention_backward(do: np.ndarray, cache: tuple[Any, ...]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """As `ops.blockwise_attention.blockwise_attention_backward`."""
    q, k, v, o, lse, window = cache
    batch, heads, time, width = q.shape
    keys, length = k.shape[1:3]
    do = _with_rows(do)
    gradients = dq, dk, dv = _like(q), _like(k), _like(v)
    written = 0  # keys to whose gradients the first block adds, and does not write them
    if length > time:  # there are keys that no query sees, and tiles of keys that a block ends within
        written = length
        dk.fill(0)
        dv.fill(0)
    of_keys = 2 * whole(length, COLUMNS) * width + whole(width, COLUMNS) * length
    of_block = 2 * (whole(length, COLUMNS) + COLUMNS) * _BLOCK + 2 * whole(width, COLUMNS) * _BLOCK
    tiles, panels = _memory(q, of_keys + of_block, rows=3 * ROWS, length=length)
    sizes = product_dtype() == "bfloat16", batch, heads, keys, time, length, width
    places = (place for x in (q, k, v, do, *gradients) for place in (address(x), *x.strides[:3]))
    delta = head_dots(do, o)
    _backward(*sizes, written, reach(window), np.float32(1 / math.sqrt(width)), *places, lse, delta, tiles, panels)
    return dq, dk, dv


def _with_rows(x: np.ndarray) -> np.ndarray:
    """x (B, H, T, D), copied unless each row is contiguous."""
    return x if x.strides[-1] == x.itemsize else np.ascontiguousarray(x)


def _like(x: np.ndarray) -> np.ndarray:
    """A new array (B, H, T, D), in memory (B, T, H, D)."""
    batch, heads, time, width = x.shape
    return empty((batch, time, heads, width), x.dtype, like=x).swapaxes(1, 2)


def _memory(q: np.ndarray, panels: int, rows: int, length: int) -> tuple[np.ndarray, np.ndarray]:
    """Of each thread: rows of scores or, the last of them, of a product's pairs; and numbers of panels."""
    threads = get_num_threads()
    wide = max(whole(length, COLUMNS), q.shape[-1]) + COLUMNS
    return empty((threads, rows, wide), q.dtype, like=q), empty((threads, panels), q.dtype, like=q)


@njit
def _panels_of_head(pairs, length, width, x, row, by_columns, panels):  # type: ignore[no-untyped-def]
    """Panels of x (length, width): of its transpose, whose columns are rows of x, or of x itself."""
    depth, across = (width, length) if by_columns else (length, width)
    for first in range(0, across, COLUMNS):
        place, steps = x + first * (row if by_columns else NUMBER), steps_of(pairs, depth)
        given = steps, place, row, depth, across - first, panels + first * steps * NUMBER
        if by_columns:
            panel_of_columns(pairs, *given)
        else:
            panel_of_rows(pairs, *given)


@njit
def _scores(pairs, rows, q, q_t, width, first, last, panels, out, out_row, room):  # type: ignore[no-untyped-def]
    """A tile's rows of q kᵀ for the panels of keys from ``first`` to ``last``."""
    steps = steps_of(pairs, width)
    if pairs:
        q, q_t = room, pair_rows(steps, q, q_t, width, rows, room)
    for key in range(first, last, COLUMNS):
        given = panels + key * steps * NUMBER, out + (key - first) * NUMBER, out_row, COLUMNS, 0
        multiply(pairs, rows, steps, q, q_t, *given)


@njit
def _sums_of_rows(pairs, rows, first, last, z, z_row, length, width, panels, out, out_t, room):  # type: ignore[no-untyped-def]
    """A tile's rows of z x, where z has the columns from ``first`` to ``last`` and x is in panels of its rows."""
    steps, before = steps_of(pairs, last - first), steps_of(pairs, first)
    if pairs:
        z, z_row = room, pair_rows(steps, z, z_row, last - first, rows, room)
    for column in range(0, width, COLUMNS):
        panel = panels + (column * steps_of(pairs, length) + before * COLUMNS) * NUMBER
        given = panel, out + column * NUMBER, out_t, width - column, 0
        multiply(pairs, rows, steps, z, z_row, *given)


@njit(cache=True, parallel=True, nogil=True)
def _forward(  # type: ignore[no-untyped-def]
    pairs, batch, heads, keys, time, length, width, parts, window, scale,
    q, q_b, q_h, q_t, k, k_b, k_h, k_t, v, v_b, v_h, v_t, o, o_b, o_h, o_t,
    lse, tiles, panels,
):  # fmt: skip
    threads, group, earlier = tiles.shape[0], heads // keys, length - time
    row, panels_of_keys = tiles.shape[2] * NUMBER, whole(length, COLUMNS) * width
    tiles_place, panels_place = tiles.ctypes.data, panels.ctypes.data
    for thread in prange(threads):
        tile, place = tiles[thread], tiles_place + thread * tiles.shape[1] * row
        of_keys = panels_place + thread * panels.shape[1] * NUMBER
        of_values, room = of_keys + panels_of_keys * NUMBER, place + ROWS * row
        for task in range(thread, batch * keys * parts, threads):
            part, b, h = task % parts, task // parts // keys, task // parts % keys
            _panels_of_head(pairs, length, width, k + b * k_b + h * k_h, k_t, True, of_keys)
            _panels_of_head(pairs, length, width, v + b * v_b + h * v_h, v_t, False, of_values)
            for head in range(h * group, (h + 1) * group):
                queries, outputs = q + b * q_b + head * q_h, o + b * o_b + head * o_h
                for t in range(part * ROWS, time, parts * ROWS):
                    rows = min(ROWS, time - t)
                    last = earlier + t + rows
                    first = max(0, earlier + t - window) // COLUMNS * COLUMNS
                    _scores(pairs, rows, queries + t * q_t, q_t, width, first, last, of_keys, place, row, room)
                    for r in range(rows):
                        seen = earlier + t + r + 1
                        start, stop = max(0, seen - 1 - window) - first, seen - first
                        lse[b, head, t + r] = softmax(tile[r, start:stop], scale)
                        clear(tile[r, :start])
                        clear(tile[r, stop : last - first])
                    out = outputs + t * o_t
                    _sums_of_rows(pairs, rows, first, last, place, row, length, width, of_values, out, o_t, room)


@njit(cache=True, parallel=True, nogil=True)
def _backward(  # type: ignore[no-untyped-def]
    pairs, batch, heads, keys, time, length, width, written, window, scale,
    q, q_b, q_h, q_t, k, k_b, k_h, k_t, v, v_b, v_h, v_t, do, do_b, do_h, do_t,
    dq, dq_b, dq_h, dq_t, dk, dk_b, dk_h, dk_t, dv, dv_b, dv_h, dv_t,
    lse, delta, tiles, panels,
):  # fmt: skip
    threads, group, earlier = tiles.shape[0], heads // keys, length - time
    row = tiles.shape[2] * NUMBER
    of_length = whole(length, COLUMNS)
    of_width = whole(width, COLUMNS)
    tiles_place, panels_place = tiles.ctypes.data, panels.ctypes.data
    for thread in prange(threads):
        tile, scores = tiles[thread], tiles_place + thread * tiles.shape[1] * row
        dscores, room = scores + ROWS * row, scores + 2 * ROWS * row
        keys_across = panels_place + thread * panels.shape[1] * NUMBER
        values_across = keys_across + of_length * width * NUMBER
        keys_along = values_across + of_length * width * NUMBER
        weights = keys_along + of_width * length * NUMBER
        dweights = weights + (of_length + COLUMNS) * _BLOCK * NUMBER
        q_along = dweights + (of_length + COLUMNS) * _BLOCK * NUMBER
        do_along = q_along + of_width * _BLOCK * NUMBER
        for task in range(thread, batch * keys, threads):
            b, h = task // keys, task % keys
            _panels_of_head(pairs, length, width, k + b * k_b + h * k_h, k_t, True, keys_across)
            _panels_of_head(pairs, length, width, k + b * k_b + h * k_h, k_t, False, keys_along)
            _panels_of_head(pairs, length, width, v + b * v_b + h * v_h, v_t, True, values_across)
            dkeys, dvalues, reached = dk + b * dk_b + h * dk_h, dv + b * dv_b + h * dv_h, written
            for head in range(h * group, (h + 1) * group):
                queries, douts = q + b * q_b + head * q_h, do + b * do_b + head * do_h
                for start in range(0, time, _BLOCK):
                    count = min(_BLOCK, time - start)
                    first = max(0, earlier + start - window) // COLUMNS * COLUMNS
                    last, steps = earlier + start + count, steps_of(pairs, count)
                    _panels_of_head(pairs, count, width, queries + start * q_t, q_t, False, q_along)
                    _panels_of_head(pairs, count, width, douts + start * do_t, do_t, False, do_along)
                    for t in range(start, start + count, ROWS):
                        rows = min(ROWS, start + count - t)
                        low = max(0, earlier + t - window) // COLUMNS * COLUMNS
                        high = earlier + t + rows
                        _scores(pairs, rows, queries + t * q_t, q_t, width, low, high, keys_across, scores, row, room)
                        _scores(
                            pairs, rows, douts + t * do_t, do_t, width, low, high, values_across, dscores, row, room
                        )
                        wide = whole(high - low, COLUMNS)
                        for r in range(rows):
                            seen = earlier + t + r + 1
                            left, right = max(0, seen - 1 - window) - low, seen - low
                            p, ds = tile[r], tile[ROWS + r]
                            of_row = lse[b, head, t + r], delta[b, head, t + r], scale
                            softmax_backward(ds[left:right], p[left:right], *of_row)
                            for x in (p, ds):
                                clear(x[:left])
                                clear(x[right:wide])
                        out = dq + b * dq_b + head * dq_h + t * dq_t
                        _sums_of_rows(pairs, rows, low, high, dscores, row, length, width, keys_along, out, dq_t, room)
                        for key in range(low, high, COLUMNS):
                            at, before = (key - low) * NUMBER, steps_of(pairs, t - start)
                            to = ((key - first) * steps + before * COLUMNS) * NUMBER
                            tall = steps_of(pairs, rows)
                            panel_of_rows(pairs, tall, scores + at, row, rows, COLUMNS, weights + to)
                            panel_of_rows(pairs, tall, dscores + at, row, rows, COLUMNS, dweights + to)
                    for key in range(first, last, ROWS):
                        panel = key // COLUMNS * COLUMNS
                        # Tiles of queries that this panel of keys is in.
                        top = max(start, (panel - earlier) // ROWS * ROWS)
                        bottom = min(start + count, -(-(panel + COLUMNS + window - earlier) // ROWS) * ROWS)
                        rows, at = min(ROWS, last - key), steps_of(pairs, top - start) * PANEL_ROW
                        a = (panel - first) * steps * NUMBER + at + key % COLUMNS * NUMBER
                        tall = steps_of(pairs, bottom - top)
                        for column in range(0, width, COLUMNS):
                            along = column * steps * NUMBER + at
                            of_tile = width - column, 1 if key < reached else 0
                            c = dvalues + key * dv_t + column * NUMBER
                            multiply_panel(pairs, rows, tall, weights + a, do_along + along, c, dv_t, *of_tile)
                            c = dkeys + key * dk_t + column * NUMBER
                            multiply_panel(pairs, rows, tall, dweights + a, q_along + along, c, dk_t, *of_tile)
                    reached = max(reached, last)
