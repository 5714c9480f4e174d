"""Parameter updates as one compiled pass over the arrays, in float32 or float64; large arrays in blocks, in parallel.

Each operation is the one that NumPy does for the same formula, in the same order and precision, so that an update
written in array operations gives the same bits.
"""

import math

import numpy as np
from numba import prange
from numba.extending import overload

from nanochat_np.backend.arrays import Array
from nanochat_np.backend.jit import njit
from nanochat_np.kernels.threads import shared

BLOCK = 1 << 15  # numbers that a thread takes at a time: below this, to wake another thread takes longer than the work


@njit(cache=True, error_model="numpy")
def clip_scale(norm: float, grad_clip: float) -> float:
    """min(1, grad_clip / norm): what a gradient of global norm ``norm`` is multiplied by; 1 where grad_clip is 0.

    Source: Pascanu et al. 2013, arXiv:1211.5063, algorithm 1.
    """
    scale = grad_clip / norm if grad_clip > 0.0 else 1.0
    return 1.0 if scale > 1.0 else scale  # so that a norm that is not a number spoils the whole gradient


@njit(cache=True)
def sgd_update(p: Array, g: Array, velocity: Array, lr: float, momentum: float) -> None:
    """v = momentum·v + g;   p = p − lr·v.

    p, g, velocity (N,) of one dtype; p and velocity are written.  Where momentum is 0, velocity is neither read nor
    written and may be empty.  Source: Polyak 1964, in the form of Sutskever et al. 2013 with lr outside v.
    """
    real = p.dtype.type
    rate, decay = real(lr), real(momentum)
    if momentum == 0.0:
        for i in range(p.size):
            p[i] -= rate * g[i]
    else:
        for i in range(p.size):
            velocity[i] = decay * velocity[i] + g[i]
            p[i] -= rate * velocity[i]


def adamw_update(
    p: np.ndarray,
    g: np.ndarray,
    m: np.ndarray,
    v: np.ndarray,
    lr: float,
    beta1: float,
    beta2: float,
    eps: float,
    weight_decay: float,
    step: int,
    grad_scale: float = 1.0,
) -> None:
    """As `optim.adamw.adamw_update`.  Inside compiled code it takes flat arrays and one thread."""
    flat = *(x.reshape(-1, copy=False) for x in (p, m, v)), np.ascontiguousarray(g).reshape(-1)
    update = _adamw if p.size <= BLOCK else _adamw_in_blocks
    update(*flat, lr, beta1, beta2, eps, weight_decay, step, grad_scale)


@overload(adamw_update)
def _adamw_update(p, g, m, v, lr, beta1, beta2, eps, weight_decay, step, grad_scale=1.0):  # type: ignore[no-untyped-def]
    def compiled(p, g, m, v, lr, beta1, beta2, eps, weight_decay, step, grad_scale=1.0):  # type: ignore[no-untyped-def]
        _adamw(p, m, v, g, lr, beta1, beta2, eps, weight_decay, step, grad_scale)

    return compiled


def adamw_rows_update(
    p: np.ndarray,
    g: np.ndarray,
    m: np.ndarray,
    v: np.ndarray,
    rows: np.ndarray,
    lr: float,
    beta1: float,
    beta2: float,
    eps: float,
    weight_decay: float,
    step: int,
    grad_scale: float = 1.0,
) -> None:
    """As `optim.adamw.adamw_rows_update`."""
    at_rest, block = np.zeros(p.shape[1], p.dtype), max(1, BLOCK // p.shape[1])
    _adamw_rows(p, m, v, g, rows, at_rest, block, lr, beta1, beta2, eps, weight_decay, step, grad_scale)


# Only Python may call a parallel function: Numba's cache of a caller that is compiled itself can crash when it is read.
@njit(cache=True, parallel=True)
def _adamw_in_blocks(p, m, v, g, lr, beta1, beta2, eps, weight_decay, step, grad_scale):  # type: ignore[no-untyped-def]
    for block in prange((p.size + BLOCK - 1) // BLOCK):
        at = slice(block * BLOCK, (block + 1) * BLOCK)
        _adamw(p[at], m[at], v[at], g[at], lr, beta1, beta2, eps, weight_decay, step, grad_scale)


@shared
@njit(cache=True, parallel=True)
def _adamw_rows(p, m, v, g, rows, at_rest, per_block, lr, beta1, beta2, eps, weight_decay, step, grad_scale):  # type: ignore[no-untyped-def]
    for block in prange((p.shape[0] + per_block - 1) // per_block):
        first = block * per_block
        i = np.searchsorted(rows, first)
        for row in range(first, min(first + per_block, p.shape[0])):
            if i < rows.size and rows[i] == row:
                slope = g[i]
                i += 1
            else:
                slope = at_rest
            _adamw(p[row], m[row], v[row], slope, lr, beta1, beta2, eps, weight_decay, step, grad_scale)


@njit(cache=True, error_model="numpy")
def _adamw(p, m, v, g, lr, beta1, beta2, eps, weight_decay, step, grad_scale):  # type: ignore[no-untyped-def]
    real = p.dtype.type
    rate, decay, tiny, scale = real(lr), real(weight_decay), real(eps), real(grad_scale)
    keep1, keep2 = real(beta1), real(beta2)
    take1, take2 = real(1.0 - beta1), real(1.0 - beta2)
    correct1, correct2 = real(1.0 - beta1 ** float(step)), real(1.0 - beta2 ** float(step))
    for i in range(p.size):
        slope = scale * g[i]
        m[i] = keep1 * m[i] + take1 * slope
        v[i] = keep2 * v[i] + take2 * slope * slope
        p[i] -= rate * ((m[i] / correct1) / (math.sqrt(v[i] / correct2) + tiny) + decay * p[i])


def squared_norm(x: np.ndarray) -> float:
    """As `optim.clip.squared_norm`.  The numbers are added in the same order for any number of threads."""
    flat = np.ascontiguousarray(x).reshape(-1)
    if flat.size <= BLOCK:
        return _sum_of_squares(flat)
    sums = np.empty((flat.size + BLOCK - 1) // BLOCK)
    _sums_of_blocks(flat, sums)
    return sums.sum()


@njit(cache=True, parallel=True)
def _sums_of_blocks(x, sums):  # type: ignore[no-untyped-def]
    for block in prange(sums.size):
        sums[block] = _sum_of_squares(x[block * BLOCK : (block + 1) * BLOCK])


@njit(cache=True, fastmath={"reassoc", "contract"})
def _sum_of_squares(x):  # type: ignore[no-untyped-def]
    total = 0.0
    for i in range(x.size):
        total += np.float64(x[i]) * np.float64(x[i])
    return total
