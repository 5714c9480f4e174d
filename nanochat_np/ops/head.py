"""Output head and its loss together, in chunks of positions, so that the logits of all positions never exist at once.

    z = x wᵀ;   c = cap · tanh(z / cap);   loss = mean over targets ≥ 0 of  log Σ_v exp(c_v) − c_target

Softcap: Gemma Team 2024, arXiv:2408.00118, section 2.
"""

import numpy as np

from nanochat_np.backend import empty
from nanochat_np.backend.arrays import Array, array_module, statistics_dtype
from nanochat_np.kernels import fused_on_cpu
from nanochat_np.ops.matmul import Packed, matmul, packed

CHUNK_LOGITS = 3 << 21  # logits in memory at a time: no more than the scratch of a layer, and few sums into dw
TILE = 4096  # rows of dw that a product takes at a time: what it needs for packing the logits is small beside them
_LARGEST_CAP = 30  # the kernel subtracts no maximum, and a sum of many exp(2 · 30) is still a float32


def softcap(z: Array, cap: float) -> Array:
    """cap · tanh(z / cap): z where it is small, never beyond ±cap.   z (...)."""
    return cap * array_module(z).tanh(z / cap)


def token_losses(x: Array, w: Array, targets: Array, vocab_size: int, cap: float) -> Array:
    """Cross-entropy of each target under the head ``w``, (N,), 0 where it is ignored.

    x (N, C) float, w (Vp, C) of which the first ``vocab_size`` rows are real, targets (N,) integer, −1 is ignored.
    """
    to_logits = packed(w[:vocab_size].T)
    chunks = _chunks(x, vocab_size)
    parts = [_chunk(x[rows], to_logits, targets[rows], cap, None)[1] for rows in chunks]
    return array_module(x).concatenate(parts)


def head_loss(x: Array, w: Array, targets: Array, vocab_size: int, cap: float) -> Array:
    """Mean of `token_losses` over the targets, () in float32, or float64 when x is; NaN where all are ignored."""
    return _mean(token_losses(x, w, targets, vocab_size, cap).sum(), targets)


def head_loss_and_gradient(
    dw: Array, dloss: float | Array, x: Array, w: Array, targets: Array, vocab_size: int, cap: float
) -> tuple[Array, Array]:
    """`head_loss`, and its backward while a chunk's logits are at hand, which spares a product as large as the forward.

        dz = dloss · (softmax(c) − onehot(target)) / N · (1 − (c/cap)²);  dx = dz w;  dw += dzᵀ x, in place

    ``dloss`` (N,) is the gradient by each target's own loss, where it is not that by their mean: it takes the place of
    dloss / N, and the sum of dloss times those losses that of the mean.  dw (Vp, C) is not changed in the padding.
    Returns (loss, dx): dx (N, C), newly allocated.
    """
    xp, stat, real = array_module(x), statistics_dtype(x.dtype), slice(0, vocab_size)
    share = xp.empty(len(x), stat)
    of_mean = isinstance(dloss, int | float)
    share[...] = dloss / xp.maximum((targets >= 0).sum(), 1) if of_mean else dloss
    to_logits, to_input = packed(w[real].T), packed(w[real])
    dx, total = empty(x.shape, x.dtype, like=x), stat(0)
    for rows in _chunks(x, vocab_size):
        z, nll = _chunk(x[rows], to_logits, targets[rows], cap, share[rows])
        total = total + (nll if of_mean else share[rows] * nll).sum()
        matmul(z, to_input, out=dx[rows])
        own = packed(x[rows])
        for tile in _tiles(vocab_size):
            matmul(z[:, tile].T, own, out=dw[tile], add=True)
        del z  # its memory is the next chunk's
    return (_mean(total, targets) if of_mean else total), dx


@fused_on_cpu("head", pays=lambda z, targets, cap, share: cap <= _LARGEST_CAP)
def capped_cross_entropy(z: Array, targets: Array, cap: float, share: Array | None) -> Array:
    """log Σ_v exp(c_v) − c_target of each row, c = softcap(z), and its gradient in the place of z.

    z (N, V) in float32 or float64, which becomes share · (softmax(c) − onehot(target)) · (1 − (c/cap)²) unless
    ``share`` (N,) is None; targets (N,) integer; rows with targets < 0 give 0.  Returns (N,).
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
        dz *= (1 - (c / cap) ** 2) * share[:, None]
        z[...] = xp.where(valid[:, None], dz, 0)
    return xp.where(valid, top + xp.log(mass) - c[chosen], 0)


def _chunks(x: Array, vocab_size: int) -> list[slice]:
    rows = max(1, CHUNK_LOGITS // vocab_size)
    return [slice(start, min(start + rows, len(x))) for start in range(0, len(x), rows)]


def _chunk(x: Array, to_logits: Packed, targets: Array, cap: float, share: Array | None) -> tuple[Array, Array]:
    """The logits' gradient, in x.dtype, or whatever the logits' memory holds; and the loss of each row."""
    z = matmul(x, to_logits).astype(statistics_dtype(x.dtype), copy=False)
    nll = capped_cross_entropy(z, targets, cap, share)
    return z.astype(x.dtype, copy=False), nll


def _tiles(vocab_size: int) -> list[slice]:
    return [slice(start, min(start + TILE, vocab_size)) for start in range(0, vocab_size, TILE)]


def _mean(total: Array, targets: Array) -> Array:
    with np.errstate(invalid="ignore"):
        return total / (targets >= 0).sum().astype(total.dtype)
