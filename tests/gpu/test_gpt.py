"""The nanochat GPT and its optimizer on a GPU: the numbers of the CPU."""

import numpy as np
import pytest

from nanochat_np import kernels
from nanochat_np.backend import Device, array_module, to_numpy
from nanochat_np.nn import gpt
from nanochat_np.nn.gpt_config import GPTConfig, initial
from nanochat_np.optim.groups import MuonAdamW, Rates


def trained(device, architecture, steps=2):
    """Losses of some steps, the parameters after them, and logits."""
    config = GPTConfig(
        architecture=architecture, sequence_len=130, vocab_size=70, n_layer=3, n_head=4, n_kv_head=2, n_embd=32
    )
    rng = np.random.default_rng(0)
    with device.active():
        w = {name: device.array(value, "float64") for name, value in initial(config, rng).items()}
        grads = {name: device.xp.zeros_like(value) for name, value in w.items()}
        optimizer, losses = MuonAdamW(w, config.n_embd, Rates()), []
        for _ in range(steps):
            idx, targets = device.array(rng.integers(0, 70, (2, 130))), device.array(rng.integers(-1, 70, (2, 130)))
            for g in grads.values():
                g.fill(0)
            loss, cache = gpt.forward(w, config, idx, targets, grads)
            gpt.backward(cache, grads)
            optimizer.step(grads, 1.0, 0.9, 1.0)
            losses.append(loss)
        assert all(array_module(value) is device.xp for value in (*w.values(), *losses))
        logits = gpt.logits(w, config, idx)
        each = gpt.losses(w, config, idx, targets)
        return [to_numpy(x) for x in (*losses, logits, each, *w.values())]


@pytest.mark.parametrize("architecture", ["current", "classic"])
def test_two_steps_are_those_of_the_cpu(device, architecture):
    with kernels.reference_only():
        expected = trained(Device(), architecture)
    for found, wanted in zip(trained(device, architecture), expected, strict=True):
        np.testing.assert_allclose(found, wanted, rtol=1e-6, atol=1e-9)
