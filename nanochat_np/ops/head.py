"""Output head and its loss together, in chunks of positions, so that the logits of all positions never exist at once.

    z = x wᵀ;   c = cap · tanh(z / cap);   loss = mean over targets ≥ 0 of  log Σ_v exp(c_v) − c_target

Softcap: Gemma Team 2024, arXiv:2408.00118, section 2.
"""

import numpy as np

from nanochat_np.backend.arrays import Array, array_module, statistics_dtype

CHUNK_LOGITS = 1 << 20  # logits in memory at a time


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
    xp = array_module(x)
    count = (targets >= 0).sum()
    dx, dw = (xp.empty_like(x), xp.zeros_like(w)) if with_gradient else (None, None)
    total = statistics_dtype(x.dtype)(0)
    real = w[:vocab_size]
    rows = max(1, CHUNK_LOGITS // vocab_size)
    for start in range(0, len(x), rows):
        part = x[start : start + rows]
        capped, nll, valid = _chunk(part, real, targets[start : start + rows], cap)
        total = total + xp.where(valid, nll, 0).sum()
        if dx is not None and dw is not None:
            dz = _chunk_gradient(capped, targets[start : start + rows], valid, cap) / count.astype(capped.dtype)
            dz = dz.astype(x.dtype, copy=False)
            dx[start : start + rows] = dz @ real
            dw[:vocab_size] += dz.T @ part
    with np.errstate(invalid="ignore"):
        return total / count, (dx, dw)


def head_loss_backward(dloss: float, cache: tuple[Array, Array]) -> tuple[Array, Array]:
    """dz = dloss · (softmax(c) − onehot(target)) / N · (1 − (c/cap)²);  dx = dz w,  dw = dzᵀ x.

    Returns dx (N, C) and dw (Vp, C), zero in the padding; newly allocated unless dloss is 1.
    """
    dx, dw = cache
    return (dx, dw) if dloss == 1 else (dx * dx.dtype.type(dloss), dw * dw.dtype.type(dloss))


def token_losses(x: Array, w: Array, targets: Array, vocab_size: int, cap: float) -> Array:
    """Cross-entropy of each target, (N,), 0 where it is ignored; arguments as `head_loss`."""
    xp = array_module(x)
    rows = max(1, CHUNK_LOGITS // vocab_size)
    parts = []
    for start in range(0, len(x), rows):
        _, nll, valid = _chunk(x[start : start + rows], w[:vocab_size], targets[start : start + rows], cap)
        parts.append(xp.where(valid, nll, 0))
    return xp.concatenate(parts)


def _chunk(x: Array, w: Array, targets: Array, cap: float) -> tuple[Array, Array, Array]:
    """Capped logits (n, V), loss of each row (n,), and which rows count (n,)."""
    xp = array_module(x)
    capped = softcap((x @ w.T).astype(statistics_dtype(x.dtype), copy=False), cap)
    valid = targets >= 0
    top = capped.max(-1)
    lse = top + xp.log(xp.exp(capped - top[:, None]).sum(-1))
    return capped, lse - capped[xp.arange(len(x)), xp.where(valid, targets, 0)], valid


def _chunk_gradient(capped: Array, targets: Array, valid: Array, cap: float) -> Array:
    """Gradient of the summed loss with respect to the logits before the cap, (n, V); 0 in rows that do not count."""
    xp = array_module(capped)
    e = xp.exp(capped - capped.max(-1, keepdims=True))
    dz = e / e.sum(-1, keepdims=True)
    dz[xp.arange(len(dz)), xp.where(valid, targets, 0)] -= 1
    dz *= 1 - (capped / cap) ** 2
    dz *= valid[:, None]
    return dz
