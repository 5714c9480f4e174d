"""Output head and its loss together, in chunks of positions, so that the logits of all positions never exist at once.

    z = x wᵀ;   c = cap · tanh(z / cap);   loss = mean over targets ≥ 0 of  log Σ_v exp(c_v) − c_target

Softcap: Gemma Team 2024, arXiv:2408.00118, section 2.
"""

from typing import Any

import numpy as np

from nanochat_np.backend import empty, zeros
from nanochat_np.backend.arrays import Array, array_module, statistics_dtype
from nanochat_np.kernels import fused_on_cpu
from nanochat_np.ops.matmul import matmul
from nanochat_np.ops.residual import add_to

CHUNK_LOGITS = 3 << 21  # logits in memory at a time: no more than the scratch of a layer, and few sums into dw
TILE = 4096  # rows of w that a product takes at a time: what it needs for packing them is no larger than a chunk
_LARGEST_CAP = 30  # the kernel subtracts no maximum, and a sum of many exp(2 · 30) is still a float32


def softcap(z: Array, cap: float) -> Array:
    """cap · tanh(z / cap): z where it is small, never beyond ±cap.   z (...)."""
    return cap * array_module(z).tanh(z / cap)


def head_loss(
    x: Array, w: Array, targets: Array, vocab_size: int, cap: float, with_gradient: bool = True
) -> tuple[Array, tuple[Array | None, Array | None]]:
    """Mean cross-entropy of ``targets`` under the head ``w``.

    x (N, C) float, w (Vp, C) of which the first ``vocab_size`` rows are real, targets (N,) integer, −1 is ignored.
    Returns (loss, cache): loss () in float32, or float64 when x is; NaN where all targets are ignored.  The gradients
    are made while a chunk's logits are at hand, since that spares a product as large as the forward: cache = (dx, dw)
    for dloss = 1, or (None, None) without ``with_gradient``.
    """
    xp, stat = array_module(x), statistics_dtype(x.dtype)
    count = (targets >= 0).sum()
    share = (1 / xp.maximum(count, 1)).astype(stat) if with_gradient else None
    dx, dw = (empty(a.shape, a.dtype, like=a) for a in (x, w)) if with_gradient else (None, None)
    total = stat(0)
    for rows in _chunks(x, vocab_size):
        z, nll = _chunk(x[rows], w[:vocab_size], targets[rows], cap, share)
        total = total + nll.sum()
        if dx is not None and dw is not None:
            _product_with_head(z, w[:vocab_size], out=dx[rows])
            _add_product(dw[:vocab_size], z.T, x[rows], is_first=rows.start == 0)
        del z  # its memory is the next chunk's
    if dw is not None:
        dw[vocab_size:].fill(0)
    with np.errstate(invalid="ignore"):
        return total / count.astype(stat), (dx, dw)


def head_loss_backward(dw: Array, dloss: float, cache: tuple[Array, Array]) -> Array:
    """dz = dloss · (softmax(c) − onehot(target)) / N · (1 − (c/cap)²);  dx = dz w;  dw += dzᵀ x, in place.

    dw (Vp, C) is not changed in the padding.  Returns dx (N, C), newly allocated unless dloss is 1.
    """
    dx, of_head = cache
    add_to(dw, of_head, dloss)
    if dloss == 1:
        return dx
    scaled = zeros(dx.shape, dx.dtype, like=dx)
    add_to(scaled, dx, dloss)
    return scaled


def token_losses(x: Array, w: Array, targets: Array, vocab_size: int, cap: float) -> Array:
    """Cross-entropy of each target, (N,), 0 where it is ignored; arguments as `head_loss`."""
    chunks = _chunks(x, vocab_size)
    parts = [_chunk(x[rows], w[:vocab_size], targets[rows], cap, None)[1] for rows in chunks]
    return array_module(x).concatenate(parts)


@fused_on_cpu("head", pays=lambda z, targets, cap, share: cap <= _LARGEST_CAP)
def capped_cross_entropy(z: Array, targets: Array, cap: float, share: Any) -> Array:
    """log Σ_v exp(c_v) − c_target of each row, c = softcap(z), and its gradient in the place of z.

    z (N, V) in float32 or float64, which becomes share · (softmax(c) − onehot(target)) · (1 − (c/cap)²) unless
    ``share`` is None; targets (N,) integer; rows with targets < 0 give 0.  Returns (N,).
    """
    xp = array_module(z)
    c, valid = softcap(z, cap), targets >= 0
    chosen = xp.arange(len(z)), xp.where(valid, targets, 0)
    top = c.max(-1)
    e = xp.exp(c - top[:, None])
    mass = e.sum(-1)
    if share is not None:
        dz = e / mass[:, None]
        dz[chosen] -= 1
        dz *= (1 - (c / cap) ** 2) * share
        z[...] = xp.where(valid[:, None], dz, 0)
    return xp.where(valid, top + xp.log(mass) - c[chosen], 0)


def _chunks(x: Array, vocab_size: int) -> list[slice]:
    rows = max(1, CHUNK_LOGITS // vocab_size)
    return [slice(start, min(start + rows, len(x))) for start in range(0, len(x), rows)]


def _chunk(x: Array, w: Array, targets: Array, cap: float, share: Any) -> tuple[Array, Array]:
    """The logits' gradient, in x.dtype, or whatever the logits' memory holds; and the loss of each row."""
    z = empty((len(x), len(w)), x.dtype, like=x)
    for tile in _tiles(w):
        matmul(x, w[tile].T, out=z[:, tile])
    z = z.astype(statistics_dtype(x.dtype), copy=False)
    nll = capped_cross_entropy(z, targets, cap, share)
    return z.astype(x.dtype, copy=False), nll


def _tiles(w: Array) -> list[slice]:
    return [slice(start, min(start + TILE, len(w))) for start in range(0, len(w), TILE)]


def _product_with_head(z: Array, w: Array, out: Array) -> None:
    """out = z @ w, the sum over the vocabulary in tiles."""
    for tile in _tiles(w):
        if tile.start == 0:
            matmul(z[:, tile], w[tile], out=out)
        else:
            add_to(out, matmul(z[:, tile], w[tile]))


def _add_product(total: Array, x: Array, y: Array, is_first: bool) -> None:
    """total += x @ y, or total = x @ y for the first; in tiles, whose sums stay in the cache."""
    for rows in _tiles(total):
        if is_first:
            matmul(x[rows], y, out=total[rows])
        else:
            add_to(total[rows], matmul(x[rows], y))
