"""Learning-rate schedules: warmup from 0, a plateau at the peak, a warmdown over the last steps."""

import math

import numpy as np

# Shape of the warmdown as a function of the progress through it, 0 at its start and 1 just after the last step.
_WARMDOWN = {
    "constant": lambda progress: np.ones_like(progress),
    "linear": lambda progress: 1 - progress,
    "sqrt": lambda progress: 1 - np.sqrt(progress),
    "cosine": lambda progress: (1 + np.cos(math.pi * progress)) / 2,
}


def lr_multipliers(
    first: int,
    count: int,
    total: int,
    schedule: str,
    warmup_steps: int = 0,
    warmdown_ratio: float = 0.5,
    final_lr_frac: float = 0.0,
) -> np.ndarray:
    """Share of the peak learning rate for steps ``first`` to ``first + count`` (counted from 0) of ``total``.

    Returns (count,) float64.  The warmdown takes the last floor(warmdown_ratio · total + ½) steps and would reach
    ``final_lr_frac`` one step after the end, so that no step is wasted at 0.  Sources: linear and 1−sqrt, Hägele et al.
    2024, arXiv:2405.18392; cosine, Loshchilov & Hutter 2017, arXiv:1608.03983.
    """
    steps = np.arange(first, first + count, dtype=np.float64)
    warmdown_steps = math.floor(warmdown_ratio * total + 0.5)
    progress = (steps - (total - warmdown_steps)) / max(warmdown_steps, 1)
    shape = _WARMDOWN[schedule](np.clip(progress, 0, 1))
    multipliers = final_lr_frac + (1 - final_lr_frac) * shape
    if warmup_steps:
        multipliers *= np.minimum((steps + 1) / warmup_steps, 1)
    return multipliers
