"""Which windows of the training text a step sees: a pure function of the seed and the step."""

import numpy as np

from nanochat_np.backend.random import uniform_integers


def window_starts(
    seed: int, first_step: int, steps: int, batch_size: int, n_tokens: int, block_size: int
) -> np.ndarray:
    """First token of each window of steps ``first_step`` to ``first_step + steps`` (counted from 0).

    Returns (steps, batch_size) int64.  A window is block_size inputs and the token after them, anywhere in the text,
    with replacement.  Nothing is remembered between steps: to resume at step s is to ask for step s.
    """
    starts = uniform_integers(seed, "batches", first_step * batch_size, steps * batch_size, n_tokens - block_size)
    return starts.reshape(steps, batch_size)
