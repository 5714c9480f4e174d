"""Loss on packed documents."""

import math

import numpy as np
import pytest

from nanochat_np.evaluate.packed import validate_packed


def test_special_tokens_have_a_loss_but_no_bytes():
    byte_lengths = np.array([0, 1, 3])  # token 0 is special
    nats = np.array([0.5, 1.0, 2.0])
    batches = [(np.zeros((1, 2), int), np.array([[0, 1]])), (np.zeros((1, 3), int), np.array([[2, 2, 0]]))]
    observed = []
    found = validate_packed(lambda x, y: nats[y], batches, byte_lengths, lambda: observed.append(1))
    assert found.loss == pytest.approx((0.5 + 1 + 2 + 2 + 0.5) / 5)
    assert found.bpb == pytest.approx((1 + 2 + 2) / (math.log(2) * 7))
    assert (found.tokens, len(observed)) == (5, 2)
