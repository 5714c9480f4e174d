"""Many SGD steps of a bigram, one pair a step, in one call of compiled code.

At batch size 1 a step is a few thousand multiplications, less than what NumPy takes to start one operation.  The loop
in `kernels.bigram` does the same steps in the same order; a test holds it to the array path.
"""

import numpy as np

from nanochat_np import kernels
from nanochat_np.backend.arrays import Array
from nanochat_np.nn.model import ModelConfig, Weights
from nanochat_np.optim.optimizer import Optimizer


def can_run_bigram_sgd(config: ModelConfig, optimizer: Optimizer, windows: Array) -> bool:
    """Whether this is the case that the loop is for: bigram, plain SGD, batch size 1, NumPy arrays, kernels in use."""
    return (
        config.kind == "bigram"
        and not optimizer.is_adamw
        and optimizer.momentum == 0
        and windows.shape[1] == 1
        and type(windows) is np.ndarray
        and kernels.in_use()
    )


def bigram_sgd(
    config: ModelConfig, w: Weights, optimizer: Optimizer, pairs: np.ndarray, lrs: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """K steps on pairs (K, 2); changes ``w`` in place.  Returns (losses, grad_norms), (K,) float64."""
    from nanochat_np.kernels.bigram import sgd_steps

    losses, norms = np.empty(len(lrs)), np.empty(len(lrs))
    head = w["wte"] if config.tie_lm_head else w["lm_head"]
    rates = lrs.astype(w["wte"].dtype)
    sgd_steps(
        w["wte"], head, config.tie_lm_head, config.input_rmsnorm, pairs, rates, optimizer.grad_clip, losses, norms
    )
    return losses, norms
