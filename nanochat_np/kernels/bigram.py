"""The SGD loop of a bigram at batch size 1 (reference: the array path through `nn.bigram` and `optim.sgd`)."""

import math

import numpy as np

from nanochat_np.backend.jit import njit
from nanochat_np.kernels.exponential import exp

_EPS = 1e-5  # of ops.norm


@njit(cache=True, fastmath={"reassoc", "contract"}, error_model="numpy")
def sgd_steps(e, head, tied, normed, pairs, lrs, grad_clip, losses, norms):  # type: ignore[no-untyped-def]
    """For each pair (c, t): h = e[c], normalised if ``normed``; z = head h; the gradient of cross-entropy; p -= lr·g.

    e, head (V, V), the same array when tied, are written; pairs (K, 2) integer; lrs (K,); losses, norms (K,) written.
    """
    width = e.shape[1]
    real = e.dtype.type
    h, p, dh = np.empty(width, e.dtype), np.empty(width, e.dtype), np.empty(width, e.dtype)
    for k in range(pairs.shape[0]):
        c, t = pairs[k, 0], pairs[k, 1]
        rstd = real(1)
        if normed:
            total = real(0)
            for i in range(width):
                total += e[c, i] * e[c, i]
            rstd = 1 / np.sqrt(total / real(width) + real(_EPS))
        hh = real(0)
        for i in range(width):
            h[i] = e[c, i] * rstd
            hh += h[i] * h[i]
            dh[i] = real(0)

        top = real(-np.inf)
        for v in range(width):
            z = real(0)
            for i in range(width):
                z += head[v, i] * h[i]
            p[v] = z
            top = max(top, z)
        target = p[t]
        mass = real(0)
        for v in range(width):
            p[v] = exp(p[v] - top)
            mass += p[v]
        losses[k] = math.log(mass) + (top - target)

        # dz = p - onehot(t);  dh = headᵀ dz, from the head before its update;  |dhead|² = |dz|² |h|²
        share = 1 / mass
        dzdz = real(0)
        for v in range(width):
            p[v] *= share
        p[t] -= real(1)
        for v in range(width):
            dzdz += p[v] * p[v]
            for i in range(width):
                dh[i] += p[v] * head[v, i]
        mean = real(0)
        if normed:
            for i in range(width):
                mean += dh[i] * h[i]
            mean /= real(width)
        dede, hde = real(0), real(0)
        for i in range(width):
            dh[i] = rstd * (dh[i] - h[i] * mean) if normed else dh[i]
            dede += dh[i] * dh[i]
            hde += h[i] * dh[i]
        # A tied table receives dz hᵀ, and dh in row c: the square of the sum has a mixed term there.
        square = dzdz * hh + dede + (2 * p[c] * hde if tied else real(0))
        norms[k] = math.sqrt(square)

        rate = lrs[k]
        if grad_clip > 0 and norms[k] > grad_clip:
            rate *= real(grad_clip / norms[k])
        for v in range(width):
            step = rate * p[v]
            for i in range(width):
                head[v, i] -= step * h[i]
        for i in range(width):
            e[c, i] -= rate * dh[i]
