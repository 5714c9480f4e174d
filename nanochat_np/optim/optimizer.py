"""An optimizer: its rule, its settings and its state, over one flat array of parameters."""

from typing import NamedTuple

from nanochat_np.backend.arrays import Array, array_module
from nanochat_np.optim.adamw import EPS, adamw_update
from nanochat_np.optim.clip import clip_by_norm
from nanochat_np.optim.sgd import sgd_update


class Optimizer(NamedTuple):
    """Settings and state; a tuple, because compiled code takes it whole (`scalar.training`)."""

    is_adamw: bool
    momentum: float
    beta1: float
    beta2: float
    eps: float
    weight_decay: float
    grad_clip: float  # largest global gradient norm; 0 is off
    m: Array  # (P,) first moment, or SGD's velocity; written by every update
    v: Array  # (P,) second moment; empty for SGD

    @classmethod
    def sgd(cls, p: Array, momentum: float = 0.0, grad_clip: float = 0.0) -> "Optimizer":
        """SGD for parameters like ``p`` (P,)."""
        xp = array_module(p)
        return cls(False, momentum, 0.0, 0.0, 0.0, 0.0, grad_clip, xp.zeros_like(p), xp.zeros(0, p.dtype))

    @classmethod
    def adamw(cls, p: Array, beta1: float, beta2: float, weight_decay: float, grad_clip: float = 0.0) -> "Optimizer":
        """AdamW for parameters like ``p`` (P,)."""
        zeros = array_module(p).zeros_like
        return cls(True, 0.0, beta1, beta2, EPS, weight_decay, grad_clip, zeros(p), zeros(p))


def update(optimizer: Optimizer, p: Array, g: Array, lr: float, step: int) -> Array:
    """Clip ``g``, then change ``p`` and the optimizer's state in place.   p, g (P,); ``step`` counts from 1.

    Returns the gradient's norm before clipping, ().
    """
    o = optimizer
    norm = clip_by_norm(g, o.grad_clip)
    if o.is_adamw:
        adamw_update(p, g, o.m, o.v, lr, o.beta1, o.beta2, o.eps, o.weight_decay, step)
    else:
        sgd_update(p, g, o.m, lr, o.momentum)
    return norm
