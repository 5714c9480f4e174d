"""Parameter updates as one compiled pass over flat arrays, in float32 or float64.

Each operation is the one that NumPy does for the same formula, in the same order and precision, so that an update
written in array operations gives the same bits.
"""

import math

from nanochat_np.backend.arrays import Array
from nanochat_np.backend.jit import njit


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


@njit(cache=True, error_model="numpy")
def adamw_update(
    p: Array,
    g: Array,
    m: Array,
    v: Array,
    lr: float,
    beta1: float,
    beta2: float,
    eps: float,
    weight_decay: float,
    step: int,
) -> None:
    """m = β₁m + (1 − β₁)g;   v = β₂v + (1 − β₂)g²;
    p = p − lr·( m/(1 − β₁ᵗ) / (sqrt(v/(1 − β₂ᵗ)) + ε) + weight_decay·p ).

    p, g, m, v (N,) of one dtype; p, m and v are written.  ``step`` is t, 1 for the first update.
    Source: Loshchilov & Hutter 2019, arXiv:1711.05101, algorithm 2.
    """
    real = p.dtype.type
    rate, decay, tiny = real(lr), real(weight_decay), real(eps)
    keep1, keep2 = real(beta1), real(beta2)
    take1, take2 = real(1.0 - beta1), real(1.0 - beta2)
    correct1, correct2 = real(1.0 - beta1 ** float(step)), real(1.0 - beta2 ** float(step))
    for i in range(p.size):
        m[i] = keep1 * m[i] + take1 * g[i]
        v[i] = keep2 * v[i] + take2 * g[i] * g[i]
        p[i] -= rate * ((m[i] / correct1) / (math.sqrt(v[i] / correct2) + tiny) + decay * p[i])
