"""Loss on packed documents: nats a token, and bits per byte."""

from collections.abc import Callable, Iterable

import numpy as np

from nanochat_np.evaluate.bits import Tally, Validation

Losses = Callable[[np.ndarray, np.ndarray], np.ndarray]


def validate_packed(
    losses: Losses,
    batches: Iterable[tuple[np.ndarray, np.ndarray]],
    byte_lengths: np.ndarray,
    observe: Callable[[], None] = lambda: None,
) -> Validation:
    """Mean loss of the targets of all batches, and their bits per byte; a target of -1 is none.

    ``losses`` takes inputs and targets (B, T) and gives the cross-entropy of each target in nats, (B, T);
    ``byte_lengths`` (V,) is 0 for special tokens, which bits per byte leave out.  ``observe`` is called after each
    batch.
    """
    tally = Tally()
    for inputs, targets in batches:
        chosen = targets >= 0
        tally.add(losses(inputs, targets)[chosen], byte_lengths[targets[chosen]])
        observe()
    return tally.result()
