"""Bits per byte: a loss that does not depend on how the text was cut into tokens."""

import math


def bits_per_byte(nats_total: float, n_bytes: int) -> float:
    """nats_total / (ln 2 · n_bytes).

    ``nats_total`` is the summed cross-entropy of the predicted tokens and ``n_bytes`` (> 0) their UTF-8 bytes.
    Special tokens such as BOS have no bytes and are left out of both sums.
    """
    return nats_total / (math.log(2) * n_bytes)
