"""Softmax cross-entropy in log space: it never takes the logarithm of a probability, so it cannot reach 0 or infinity.

loss = mean over rows of  log Σ_j exp(z_j) − z_target        (in nats)
"""

from nanochat_np.backend.arrays import Array, array_module, statistics_dtype
from nanochat_np.kernels import fused_on_cpu


def log_softmax(z: Array) -> Array:
    """z (N, V) -> log softmax (N, V), shifted by the row's maximum so that no exponential overflows.

    In float32, or float64 when z is.  For evaluation, which needs no gradient and each row's value by itself.
    """
    xp = array_module(z)
    z = z.astype(statistics_dtype(z.dtype), copy=False)
    shifted = z - z.max(-1, keepdims=True)
    return shifted - xp.log(xp.exp(shifted).sum(-1, keepdims=True))


@fused_on_cpu("loss")
def softmax_cross_entropy(logits: Array, targets: Array) -> tuple[Array, tuple[Array, Array]]:
    """Mean negative log-likelihood of ``targets``.

    logits (..., V) float; targets (...) integer in [0, V).
    Returns (loss, cache): loss () in float32, or float64 when logits are; cache = (p, targets), p (..., V) softmax.
    """
    xp = array_module(logits)
    log_p = log_softmax(logits.reshape(-1, logits.shape[-1]))  # (N, V)
    loss = -log_p[xp.arange(len(log_p)), targets.reshape(-1)].mean()
    return loss, (xp.exp(log_p).reshape(logits.shape), targets)


@fused_on_cpu("loss")
def softmax_cross_entropy_backward(dloss: float, cache: tuple[Array, Array]) -> Array:
    """dz = dloss · (p − onehot(target)) / N.

    From d(log Σ exp z)/dz = p and d(z_target)/dz = onehot(target), over N rows.
    dloss () ; returns dlogits (..., V), newly allocated.
    """
    p, targets = cache
    xp = array_module(p)
    rows = p.reshape(-1, p.shape[-1])  # (N, V)
    dlogits = rows.copy()
    dlogits[xp.arange(len(rows)), targets.reshape(-1)] -= 1
    dlogits *= p.dtype.type(dloss / len(rows))
    return dlogits.reshape(p.shape)


def cross_entropy_of_counts(logits: Array, counts: Array) -> tuple[Array, tuple[Array, Array]]:
    """The same mean over many rows that share their logits: counts[n, v] of them with logits[n] have target v.

    logits (N, V) float; counts (N, V) float, its sum the number of rows.  Returns (loss, cache); cache = (p, counts).
    Rows that never occur count nothing.
    """
    xp = array_module(logits)
    log_p = log_softmax(logits)
    loss = -(counts * log_p).sum() / counts.sum()
    return loss, (xp.exp(log_p), counts)


def cross_entropy_of_counts_backward(dloss: float, cache: tuple[Array, Array]) -> Array:
    """dz[n] = dloss · (p[n] Σ_v counts[n, v] − counts[n]) / Σ counts.   Returns dlogits (N, V), newly allocated."""
    p, counts = cache
    return (p * counts.sum(-1, keepdims=True) - counts) * (dloss / counts.sum())
