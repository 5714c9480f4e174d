"""Products in bfloat16: gradients of whole models stay near those of float32, and only products differ."""

import numpy as np
import pytest

from nanochat_np.backend.products import array_dtype, product_dtype, products_in
from nanochat_np.nn import gpt
from nanochat_np.nn.gpt_config import GPTConfig, initial

SETTINGS = {"sequence_len": 96, "vocab_size": 500, "n_layer": 3, "n_head": 4, "n_embd": 128}


@pytest.mark.parametrize("architecture", ["current", "classic"])
def test_gradients_are_those_of_float32_within_a_hundredth(architecture):
    config = GPTConfig(**SETTINGS, architecture=architecture, n_kv_head=2)
    rng = np.random.default_rng(0)
    weights = {name: value.astype(np.float32) for name, value in initial(config, rng).items()}
    for name, value in weights.items():
        if name.endswith("c_proj.weight"):
            value[...] = 0.02 * rng.standard_normal(value.shape)
    if config.is_current:
        weights["smear_lambda"][:] = 0.3
    idx, targets = rng.integers(0, config.vocab_size, (2, 4, 96))
    found = {}
    for precision in ("float32", "bfloat16"):
        grads = {name: np.zeros_like(value) for name, value in weights.items()}
        with products_in(precision):
            loss, cache = gpt.forward(weights, config, idx, targets, grads)
            gpt.backward(cache, grads)
        found[precision] = loss, grads
    assert found["bfloat16"][0] == pytest.approx(found["float32"][0], rel=1e-3)
    for name, exact in found["float32"][1].items():
        difference = np.linalg.norm(found["bfloat16"][1][name] - exact) / np.linalg.norm(exact)
        assert difference < 1e-2 or exact.size <= config.n_layer, name
        assert difference > 0 or exact.size == 1, name  # products did differ


def test_the_context_ends():
    with products_in("bfloat16"), products_in("float64"):
        assert product_dtype() == "float32"
    assert product_dtype() == "float32"
    assert [array_dtype(name) for name in ("float32", "float64", "bfloat16")] == ["float32", "float64", "float32"]
