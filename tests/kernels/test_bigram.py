"""The compiled SGD loop of the bigram takes the very steps of the array path."""

import numpy as np
import pytest

from nanochat_np import kernels
from nanochat_np.nn.model import architecture, views
from nanochat_np.optim.optimizer import Optimizer, update
from nanochat_np.train.bigram_sgd import bigram_sgd, can_run_bigram_sgd
from tests.gradcheck import assert_close
from tests.nn.networks import bigram, loss_and_gradient, parameters, variants


@variants
@pytest.mark.parametrize("grad_clip", [0.0, 0.05])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_equals_the_array_path(tied, normed, grad_clip, dtype):
    config = bigram(tied, normed, vocab_size=5)
    start = parameters(config).astype(dtype)
    rng = np.random.default_rng(1)
    pairs, lrs = rng.integers(0, 5, (12, 2)), rng.uniform(0.1, 2, 12)
    pairs[0] = 3  # a pair of equal tokens: a tied table has both of its gradients in one row
    optimizer = Optimizer.sgd(start, grad_clip=grad_clip)

    p, expected = start.copy(), []
    with kernels.reference_only():
        for k, pair in enumerate(pairs):
            loss, g = loss_and_gradient(config, p, pair[None, :])
            expected.append((loss, update(optimizer, p, g, lrs[k], k + 1)))

    fused = start.copy()
    losses, norms = bigram_sgd(config, views(fused, architecture("bigram").shapes(config)), optimizer, pairs, lrs)
    assert_close(losses, [loss for loss, _ in expected], dtype)
    assert_close(norms, [norm for _, norm in expected], dtype)
    assert_close(fused, p, dtype)
    assert np.abs(fused - start).max() > 0.05
    assert not grad_clip or (norms > grad_clip).all()


def test_nan_spreads():
    config = bigram(False, True, vocab_size=3)
    p = parameters(config)
    p[0] = np.nan
    shapes = architecture("bigram").shapes(config)
    losses, norms = bigram_sgd(
        config, views(p, shapes), Optimizer.sgd(p, grad_clip=1.0), np.zeros((1, 2), int), np.ones(1)
    )
    assert np.isnan([losses, norms]).all()
    assert np.isnan(p).sum() > 1


def test_is_for_plain_sgd_on_single_pairs_only():
    config = bigram(True, True)
    p = parameters(config)
    one, two = np.zeros((4, 1, 2), int), np.zeros((4, 2, 2), int)
    assert can_run_bigram_sgd(config, Optimizer.sgd(p), one)
    assert not can_run_bigram_sgd(config, Optimizer.sgd(p), two)
    assert not can_run_bigram_sgd(config, Optimizer.sgd(p, momentum=0.9), one)
    assert not can_run_bigram_sgd(config, Optimizer.adamw(p, 0.9, 0.99, 0.0), one)
