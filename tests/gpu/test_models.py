"""Training, validation and sampling on a GPU: the numbers of the CPU, and the same bits at every run."""

import numpy as np
import pytest

from nanochat_np import kernels
from nanochat_np.backend import Device, array_module, to_numpy
from nanochat_np.evaluate.validation import validate
from nanochat_np.infer.engine import Engine
from nanochat_np.infer.sampler import greedy, random_sampler
from nanochat_np.nn.model import architecture, views
from nanochat_np.optim.optimizer import Optimizer
from nanochat_np.train.tensor import TensorTrainer
from tests.gpu.fake_cupy import ndarray
from tests.gradcheck import assert_close
from tests.nn.networks import bigram, mini_gpt, parameters, variants

TOKENS = np.random.default_rng(3).integers(0, 5, 60).astype(np.int32)
networks = pytest.mark.parametrize("network", [bigram, mini_gpt])
OPTIMIZERS = {
    "sgd": lambda p: Optimizer.sgd(p, grad_clip=1.0),
    "adamw": lambda p: Optimizer.adamw(p, 0.9, 0.99, 0.01, grad_clip=1.0),
}


def trained(config, device, dtype="float64", optimizer="adamw", batch=3, steps=4):
    """A trainer after some steps, and their losses and norms."""
    with device.active():
        p = device.array(parameters(config), dtype)
        trainer = TensorTrainer(config, p, OPTIMIZERS[optimizer](p), TOKENS, device)
    starts = np.random.default_rng(0).integers(0, len(TOKENS) - config.block_size, (steps, batch))
    return trainer, trainer.advance(0, starts, np.full(steps, 0.05))


def texts(config, device):
    """Two samples, one greedy and one drawn with a bias."""
    engine = Engine(config, weights(config), device)
    draws, bias = random_sampler(1.0, 0, 1.0, np.random.default_rng(1)), np.random.default_rng(0).normal(size=(5, 5))
    return list(engine.generate([1], 8, greedy)), list(engine.generate([1, 2], 8, draws, bias))


def weights(config):
    return views(parameters(config), architecture(config.kind).shapes(config))


@variants
@networks
@pytest.mark.parametrize("optimizer", OPTIMIZERS)
@pytest.mark.parametrize(("dtype", "batch"), [("float64", 1), ("float64", 7), ("float32", 3)])
def test_training_takes_the_steps_of_the_cpu(device, network, tied, normed, optimizer, dtype, batch):
    config = network(tied, normed)
    on_gpu, results = trained(config, device, dtype, optimizer, batch)
    with kernels.reference_only():
        on_cpu, expected = trained(config, Device(), dtype, optimizer, batch)
    assert array_module(on_gpu.p) is device.xp
    # AdamW divides by the root of its moments: where a gradient is all rounding, its direction is chance.
    tolerance = 1e-9 if dtype == "float64" else 1e-2
    np.testing.assert_allclose(results, expected, rtol=tolerance)
    np.testing.assert_allclose(to_numpy(on_gpu.p), on_cpu.p, atol=tolerance)


@networks
def test_two_runs_give_the_same_bits(device, network):
    config = network(False, True)
    runs = [trained(config, device, "float32", steps=20, batch=32) for _ in range(2)]
    assert len({to_numpy(trainer.p).tobytes() for trainer, _ in runs}) == 1
    np.testing.assert_array_equal(runs[0][1], runs[1][1])


@networks
def test_steps_are_not_read_back_one_by_one(device, network):
    before = ndarray.gets
    trained(network(True, True), device, steps=9)
    assert ndarray.gets - before in (0, 1)  # 0 on a real GPU, where nobody counts


@variants
@networks
def test_validation(device, network, tied, normed):
    config = network(tied, normed)
    lengths = np.array([0, 1, 1, 2, 1])
    found, expected = (validate(config, weights(config), TOKENS, lengths, d) for d in (device, Device()))
    assert_close(found.loss, expected.loss, "float64")
    assert_close(found.bpb, expected.bpb, "float64")
    assert found.tokens == expected.tokens


@variants
@networks
def test_sampling(device, network, tied, normed):
    config = network(tied, normed)
    assert texts(config, device) == texts(config, Device())
