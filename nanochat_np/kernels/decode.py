"""One new token of several texts through a whole GPT, in one compiled function (reference: `nn.gpt_decode.step`).

The work is to read the weights once: a row of a matrix, in a register or the nearest cache, meets the vectors of all
texts.  Weights are float32, bfloat16 in uint16, or int8 with a factor for each row.  A text's numbers do not depend on
which others are there.
"""

from typing import Any, NamedTuple

import numpy as np
from numba import get_num_threads, prange
from numba.extending import overload

from nanochat_np.backend.jit import njit
from nanochat_np.kernels.dots import ROWS, ask_for, dots
from nanochat_np.kernels.exponential import exp
from nanochat_np.kernels.head import tanh
from nanochat_np.kernels.micro_kernel import CACHE_LINE, NUMBER
from nanochat_np.kernels.rotary import dot, turn
from nanochat_np.kernels.target import tile

WIDTH = tile().width
TEXTS = 4 if WIDTH >= 16 else 2  # at a time: their sums, a row's numbers and a vector's fill the registers
_SUMS = {"reassoc", "contract"}
_APART = 16  # numbers, a line of the cache
_AHEAD = 2  # times four positions that memory is asked for before they are needed


class Matrices(NamedTuple):
    """Weights of the products (float32, uint16 or int8) or their factors, an array or a row of numbers a matrix.

    ``qkv`` (L, (H + 2K)·D, C), ``out`` (L, C, C), ``fc`` (L, 4C, C), ``proj`` (L, C, 4C), ``head`` (V, C), with rows of
    zeros up to a multiple of ROWS and zeros in each row up to one of WIDTH; of factors the last axis is left out.
    """

    qkv: np.ndarray
    out: np.ndarray
    fc: np.ndarray
    proj: np.ndarray
    head: np.ndarray


class Small(NamedTuple):
    """All other weights, float32: ``mixes`` (L, 2) of x and x0, ``gates`` (E, K, I) of the value embeddings.

    ``smear`` (J,) is the gate and ``strengths`` (2,) are smear's and backout's; ``embedding_of`` (L,) int64 numbers the
    value embeddings, −1 in a layer without one.
    """

    mixes: np.ndarray
    gates: np.ndarray
    embedding_of: np.ndarray
    smear: np.ndarray
    strengths: np.ndarray


class Kept(NamedTuple):
    """The cache: all layers' ``k`` and ``v`` (N,), where each begins and its ring (L,) int64; see `nn.gpt_cache`."""

    k: np.ndarray
    v: np.ndarray
    starts: np.ndarray
    rings: np.ndarray
    cos: np.ndarray
    sin: np.ndarray
    before: np.ndarray


def step(
    e: np.ndarray,
    values: np.ndarray,
    matrices: Matrices,
    factors: Matrices,
    small: Small,
    kept: Kept,
    positions: np.ndarray,
    slots: np.ndarray,
    heads: tuple[int, int],
    numbers: tuple[float, float, float],
) -> np.ndarray:
    """Logits (B, V) float32, capped.

    ``e`` (B, C) are rows of the token table, ``values`` (E, B, K·D) of the value embeddings; ``positions`` and
    ``slots`` (B,) int64 where each text stands; ``heads`` of queries and of keys; ``numbers`` are the scale of queries
    and keys, the norm's eps and the cap.
    """
    rows, width = e.shape
    room = max(matrices.qkv.shape[1], *matrices.proj.shape[1:])
    x, x0, middle = np.empty((3, rows, width), np.float32)
    n, y, u = np.zeros((3, rows, room), np.float32)
    # Rows whose distance is a power of two would take each other's place in the cache.
    logits = np.empty((rows, matrices.head.shape[0] + _APART), np.float32)
    scores = np.empty((rows * heads[0], int(kept.rings.max())), np.float32)
    scale, eps, cap = map(np.float32, numbers)
    arguments = *heads, scale, eps, cap, get_num_threads()
    _step(
        e, values, matrices, factors, small, kept, positions, slots, *arguments, x, x0, middle, n, y, u, scores, logits
    )
    return logits


@njit(cache=True, parallel=True, fastmath=_SUMS)
def _step(  # type: ignore[no-untyped-def]
    e, values, matrices, factors, small, kept, positions, slots, heads, groups, scale, eps, cap, parts,
    x, x0, middle, n, y, u, scores, logits,
):  # fmt: skip
    rows, width = e.shape
    layers, one, zero = matrices.qkv.shape[0], np.float32(1), np.float32(0)
    for b in range(rows):
        _begin(e[b], kept.before[slots[b]], small.smear, small.strengths[0], eps, x0[b])
        x[b] = x0[b]
    for layer in range(layers):
        for b in range(rows):
            _mixed(x[b], x0[b], small.mixes[layer, 0], small.mixes[layer, 1], eps, n[b, :width])
        for part in prange(parts):
            _product(matrices.qkv[layer], factors.qkv[layer], n, u, part, parts)
        for item in prange(rows * groups):
            _attend(item // groups, item % groups, layer, values, small, kept, positions, slots, heads, groups, scale,
                    eps, n, u, scores, y)  # fmt: skip
        for part in prange(parts):
            _product(matrices.out[layer], factors.out[layer], y, n, part, parts)
        for b in range(rows):
            _mixed(x[b], n[b, :width], one, one, eps, n[b, :width])
        for part in prange(parts):
            _product(matrices.fc[layer], factors.fc[layer], n, u, part, parts)
            _squared(u[:, : matrices.fc.shape[1]], part, parts)
        for part in prange(parts):
            _product(matrices.proj[layer], factors.proj[layer], u, y, part, parts)
        for b in range(rows):
            x[b] += y[b, :width]
            if layer == layers // 2:
                middle[b] = x[b]
    for b in range(rows):
        _mixed(x[b], middle[b], one, zero - small.strengths[1], eps, n[b, :width])
    for part in prange(parts):
        _product(matrices.head, factors.head, n, logits, part, parts)
        _capped(logits, matrices.head.shape[0], cap, part, parts)


@njit(cache=True, fastmath=_SUMS)
def _begin(e, before, gate, strength, eps, y):  # type: ignore[no-untyped-def]
    """The normalised embedding, for the next position into ``before``; y is that and smear's share of the last one."""
    factor = np.float32(1) / np.sqrt(dot(e, e) / np.float32(e.size) + eps)
    z = np.float32(0)
    for j in range(gate.size):
        z += gate[j] * (e[j] * factor)
    share = strength * _sigmoid(z)
    for c in range(e.size):
        normed = e[c] * factor
        y[c] = normed + share * before[c]
        before[c] = normed


@njit(cache=True, fastmath=_SUMS)
def _mixed(x, other, a, b, eps, n):  # type: ignore[no-untyped-def]
    """x = a x + b other, and n its norm; ``other`` may be n."""
    total = np.float32(0)
    for c in range(x.size):
        v = a * x[c] + b * other[c]
        x[c] = v
        total += v * v
    factor = np.float32(1) / np.sqrt(total / np.float32(x.size) + eps)
    for c in range(x.size):
        n[c] = x[c] * factor


@njit(cache=True, fastmath=_SUMS)
def _sigmoid(z):  # type: ignore[no-untyped-def]
    e = exp(-abs(z))
    return (np.float32(1) if z >= 0 else e) / (np.float32(1) + e)


@njit(cache=True, fastmath=_SUMS)
def _attend(  # type: ignore[no-untyped-def]
    b, group, layer, values, small, kept, positions, slots, heads, groups, scale, eps, n, u, scores, y
):
    """A text's query heads of one head of keys: turned and normalised, the new key and value kept, and y = Σ p v."""
    width, ring, position = 2 * kept.cos.shape[1], kept.rings[layer], positions[b]
    cos, sin = kept.cos[position], kept.sin[position]
    start = kept.starts[layer] + (slots[b] * groups + group) * ring * width
    keys, vals = kept.k[start : start + ring * width], kept.v[start : start + ring * width]
    place = position % ring * width
    first = (heads + group) * width
    _turn_and_norm(u[b, first : first + width], cos, sin, scale, eps, keys[place : place + width])
    first = (heads + groups + group) * width
    _value(u[b, first : first + width], n[b], small, layer, group, values, b, vals[place : place + width])
    filled, shared = min(position + 1, ring), heads // groups
    for head in range(group * shared, (group + 1) * shared):
        q, o = u[b, head * width : (head + 1) * width], y[b, head * width : (head + 1) * width]
        _turn_and_norm(q, cos, sin, scale / np.sqrt(np.float32(width)), eps, q)
        _weighted(q, keys, vals, filled, scores[b * heads + head], o)


@njit(cache=True, fastmath=_SUMS)
def _turn_and_norm(x, cos, sin, scale, eps, y):  # type: ignore[no-untyped-def]
    total = turn(x, cos, sin, y)
    factor = scale / np.sqrt(total / np.float32(x.size) + eps)
    for j in range(x.size):
        y[j] *= factor


@njit(cache=True, fastmath=_SUMS)
def _value(v, n, small, layer, group, values, b, y):  # type: ignore[no-untyped-def]
    number = small.embedding_of[layer]
    if number < 0:
        y[:] = v
        return
    gate = small.gates[number, group]
    z = np.float32(0)
    for j in range(gate.size):
        z += gate[j] * n[j]
    g, row = np.float32(3) * _sigmoid(z), values[number, b]
    for j in range(v.size):
        y[j] = v[j] + g * row[group * v.size + j]


@njit(cache=True, fastmath=_SUMS)
def _weighted(q, keys, vals, filled, p, o):  # type: ignore[no-untyped-def]
    """o = Σ_s softmax(q · k_s) v_s over the first ``filled`` places, p their weights; four places at a time."""
    width, fours = q.size, filled // 4 * 4
    of_four = 4 * width * NUMBER
    for s in range(0, fours, 4):
        ask_for(keys.ctypes.data + (s // 4 + _AHEAD) * of_four, of_four // CACHE_LINE)
        _four_scores(q, keys[s * width :], p[s:])
    for s in range(fours, filled):
        p[s] = dot(q, keys[s * width : (s + 1) * width])
    top, total = p[0], np.float32(0)
    for s in range(filled):
        top = max(top, p[s])
    for s in range(filled):
        p[s] = exp(p[s] - top)
        total += p[s]
    o[:] = 0
    for s in range(0, fours, 4):
        ask_for(vals.ctypes.data + (s // 4 + _AHEAD) * of_four, of_four // CACHE_LINE)
        _add_four(p[s:], vals[s * width :], o)
    for s in range(fours, filled):
        for j in range(width):
            o[j] += p[s] * vals[s * width + j]
    for j in range(width):
        o[j] /= total


@njit(cache=True, fastmath=_SUMS)
def _four_scores(q, keys, p):  # type: ignore[no-untyped-def]
    width = q.size
    k0, k1, k2, k3 = keys[:width], keys[width : 2 * width], keys[2 * width : 3 * width], keys[3 * width : 4 * width]
    s0, s1, s2, s3 = np.float32(0), np.float32(0), np.float32(0), np.float32(0)
    for j in range(width):
        s0 += q[j] * k0[j]
        s1 += q[j] * k1[j]
        s2 += q[j] * k2[j]
        s3 += q[j] * k3[j]
    p[0], p[1], p[2], p[3] = s0, s1, s2, s3


@njit(cache=True, fastmath=_SUMS)
def _add_four(p, vals, o):  # type: ignore[no-untyped-def]
    width = o.size
    v0, v1, v2, v3 = vals[:width], vals[width : 2 * width], vals[2 * width : 3 * width], vals[3 * width : 4 * width]
    p0, p1, p2, p3 = p[0], p[1], p[2], p[3]
    for j in range(width):
        o[j] += (p0 * v0[j] + p1 * v1[j]) + (p2 * v2[j] + p3 * v3[j])


@njit(cache=True)
def _product(w, factors, x, y, part, parts):  # type: ignore[no-untyped-def]
    """A part of y = x wᵀ, four rows of w and so many texts at a time; both are padded to whole steps."""
    count, steps = w.shape[0] // ROWS, w.shape[1] // WIDTH
    w_row, x_row, y_row = w.strides[0], x.strides[0], y.strides[0]
    for o in range(count * part // parts * ROWS, count * (part + 1) // parts * ROWS, ROWS):
        place, scale = w.ctypes.data + o * w_row, factors.ctypes.data + o * NUMBER
        b = 0
        while b < y.shape[0]:
            many = y.shape[0] - b >= TEXTS
            at_x, at_y = x.ctypes.data + b * x_row, y.ctypes.data + b * y_row + o * NUMBER
            _dots(w, many, steps, place, w_row, at_x, x_row, scale, at_y, y_row)
            b += TEXTS if many else 1


def _dots(w: Any, many: bool, *numbers: int) -> None:
    """`dots` for the type of ``w``, of TEXTS vectors or one."""
    raise NotImplementedError  # in compiled code only


_KERNELS = {code: (dots(code, 1, WIDTH), dots(code, TEXTS, WIDTH)) for code in ("float32", "uint16", "int8")}


@overload(_dots)
def _(w, many, steps, place, w_row, x, x_row, scale, y, y_row):  # type: ignore[no-untyped-def]
    of_one, of_many = _KERNELS[w.dtype.name]

    def choose(w, many, steps, place, w_row, x, x_row, scale, y, y_row):  # type: ignore[no-untyped-def]
        if many:
            of_many(steps, place, w_row, x, x_row, scale, y, y_row)
        else:
            of_one(steps, place, w_row, x, x_row, scale, y, y_row)

    return choose


@njit(cache=True, fastmath={"contract"})
def _squared(z, part, parts):  # type: ignore[no-untyped-def]
    """relu² of a part of z."""
    count = z.shape[1]
    for b in range(z.shape[0]):
        for o in range(count // ROWS * part // parts * ROWS, count // ROWS * (part + 1) // parts * ROWS):
            z[b, o] = max(z[b, o], np.float32(0)) ** 2


@njit(cache=True, fastmath={"contract"})
def _capped(z, count, cap, part, parts):  # type: ignore[no-untyped-def]
    """cap · tanh(z / cap) of a part of the first ``count`` columns of z."""
    inverse = np.float32(1) / cap
    first, last = count // ROWS * part // parts * ROWS, count // ROWS * (part + 1) // parts * ROWS
    for b in range(z.shape[0]):
        row = z[b, first:last]
        for v in range(row.size):
            row[v] = cap * tanh(row[v] * inverse)
