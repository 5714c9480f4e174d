"""Loss of a text: nats a token, and bits per byte, which does not depend on how the text was cut into tokens."""

import math

import msgspec
import numpy as np


def bits_per_byte(nats_total: float, n_bytes: int) -> float:
    """nats_total / (ln 2 · n_bytes).

    ``nats_total`` is the summed cross-entropy of the predicted tokens and ``n_bytes`` (> 0) their UTF-8 bytes.
    Special tokens such as BOS have no bytes and are left out of both sums.
    """
    return nats_total / (math.log(2) * n_bytes)


class Validation(msgspec.Struct, frozen=True):
    """``loss`` in nats a token over all tokens; ``bpb`` in bits per UTF-8 byte, special tokens left out.

    ``docs_bpb`` is that of plain documents, where they are not what is validated and are looked at besides;
    ``pass_at`` the share of problems that one of k answers solves, by k, where there are problems.
    """

    loss: float
    bpb: float
    tokens: int
    docs_bpb: float | None = None
    pass_at: dict[int, float] | None = None


class Tally:
    """Sums over predicted tokens, in float64."""

    def __init__(self) -> None:
        self._nats = self._nats_of_bytes = 0.0
        self._tokens = self._bytes = 0

    def add(self, nll: np.ndarray, byte_lengths: np.ndarray) -> None:
        """Count tokens: negative log-likelihoods (n,) in nats, and lengths (n,) in bytes, 0 for special tokens."""
        self._nats += float(nll.sum())
        self._nats_of_bytes += float(nll[byte_lengths > 0].sum())
        self._tokens += nll.size
        self._bytes += int(byte_lengths.sum())

    def result(self) -> Validation:
        """The means so far."""
        bpb = bits_per_byte(self._nats_of_bytes, self._bytes) if self._bytes else math.nan
        return Validation(loss=self._nats / self._tokens, bpb=bpb, tokens=self._tokens)
