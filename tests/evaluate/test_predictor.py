"""What a GPT expects at chosen places: the same as of each text alone and in full."""

import numpy as np
import pytest

from nanochat_np.backend.device import Device
from nanochat_np.evaluate.predictor import Predictor, cross_entropies
from nanochat_np.kernels import reference_only
from nanochat_np.nn import gpt
from tests.infer.tiny import CONFIG, engine, weights


@pytest.fixture(autouse=True)
def _no_kernels():
    with reference_only():  # those that are not loaded yet would take a second
        yield


def predictor():
    return Predictor(CONFIG, weights(), Device())


def test_logits_are_those_of_each_text_alone():
    texts = [[1, 2, 3, 4, 5], [9, 8], list(range(40)), [7, 7, 7]]  # the third is longer than the model's context
    wanted = [(1, 5), (2, 3), (30, 40), (2, 2)]
    found = predictor().logits(texts, wanted)
    for text, (start, end), logits in zip(texts, wanted, found, strict=True):
        alone = gpt.logits(weights(), CONFIG, np.array([text]))[0]
        np.testing.assert_allclose(logits, alone[start - 1 : end - 1], rtol=1e-10, atol=1e-10)


def test_nothing_is_asked():
    assert [each.shape for each in predictor().logits([[1, 2], [3]], [(2, 2), (1, 1)])] == [(0, 265)] * 2


def test_it_shares_the_weights_of_an_engine():
    made = engine()
    shared = Predictor.of(made)
    assert shared.weights is made.weights
    np.testing.assert_array_equal(shared.logits([[1, 2]], [(2, 3)])[0], predictor().logits([[1, 2]], [(2, 3)])[0])


def test_losses_are_those_of_the_logits():
    inputs, targets = np.array([[1, 2, 3], [4, 5, 6]]), np.array([[2, 3, 4], [5, 6, 7]])
    logits = gpt.logits(weights(), CONFIG, inputs)
    expected = cross_entropies(logits.reshape(6, -1), targets.reshape(-1)).reshape(2, 3)
    np.testing.assert_allclose(predictor().losses(inputs, targets), expected, rtol=1e-10)


def test_cross_entropies():
    logits = np.log(np.array([[0.5, 0.25, 0.25], [0.1, 0.1, 0.8]])) + 700
    assert cross_entropies(logits, np.array([1, 2])) == pytest.approx([-np.log(0.25), -np.log(0.8)])
