"""What a GPT expects at chosen places: the numbers of the CPU."""

import numpy as np

from nanochat_np.backend import Device
from nanochat_np.evaluate.predictor import Predictor
from nanochat_np.kernels import reference_only
from tests.infer.tiny import CONFIG, weights

TEXTS, WANTED = [[1, 2, 3, 4], [9, 8], list(range(30))], [(1, 5), (2, 2), (20, 30)]
PAIR = np.array([[1, 2, 3]]), np.array([[2, 3, 4]])


def expected_by(device):
    """Logits and losses, all on the host."""
    with device.active():
        placed = {name: device.array(values) for name, values in weights().items()}
    predictor = Predictor(CONFIG, placed, device)
    found = [*predictor.logits(TEXTS, WANTED), predictor.losses(*PAIR)]
    assert all(type(values) is np.ndarray for values in found)
    return found


def test_logits_and_losses(device):
    with reference_only():
        expected = expected_by(Device())
    for ours, theirs in zip(expected, expected_by(device), strict=True):
        np.testing.assert_allclose(theirs, ours, rtol=1e-9, atol=1e-9)
