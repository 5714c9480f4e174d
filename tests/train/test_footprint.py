"""A step that cannot fit is refused before it begins; one that fits is not."""

import tracemalloc

import numpy as np
import pytest

from nanochat_np import kernels, ops
from nanochat_np.nn.model import architecture, flatten, views
from nanochat_np.train.footprint import step_bytes
from tests.nn.networks import bigram, mini_gpt


def test_a_window_that_no_machine_holds(lab):
    message = lab.train("--data=stories:300000", "--block-size=100000", "--steps=3", "--out=run").error(1)
    assert "a step would take about" in message
    assert "lower --batch-size, --block-size" in message


@pytest.mark.parametrize(
    "config", [mini_gpt(False, True, 60, 64, 2, 4, 32), bigram(False, True, 200)], ids=["mini-gpt", "bigram"]
)
def test_the_estimate_is_near_the_peak_and_not_above_it(config):
    model = architecture(config.kind)
    shapes = model.shapes(config)
    windows = np.random.default_rng(0).integers(0, config.vocab_size, (16, config.block_size + 1))
    tracemalloc.start()
    with kernels.reference_only():
        p = flatten(model.initial(config, np.random.default_rng(0)), shapes).astype(np.float32)
        gradient, moments = np.zeros_like(p), [np.zeros_like(p), np.zeros_like(p)]
        _, cache = model.loss(ops, views(p, shapes), config, windows[:, :-1], windows[:, 1:])
        model.backward(ops, cache, views(gradient, shapes))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert len(moments) == 2
    assert 0.3 * peak < step_bytes(config, 16, 4) < 1.3 * peak
