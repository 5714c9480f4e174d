"""LoRA as a rule for weights: what a step does to them, and to those that are frozen."""

import numpy as np
import pytest

from nanochat_np.errors import CheckpointError
from nanochat_np.nn.gpt_config import GPTConfig, initial
from nanochat_np.optim.lora import MATRICES, Adapter, LoRA, matrices, state_count, trained_count

TINY = GPTConfig(sequence_len=8, vocab_size=70, n_layer=2, n_head=2, n_kv_head=1, n_embd=32)


def parameters(dtype=np.float64):
    rng = np.random.default_rng(0)
    return {name: (p + 0.01 * rng.standard_normal(p.shape)).astype(dtype) for name, p in initial(TINY, rng).items()}


def gradients(seed, dtype=np.float64):
    rng = np.random.default_rng(seed)
    return {name: rng.standard_normal(p.shape).astype(dtype) for name, p in parameters().items()}


def adapter(on=("attn", "mlp"), **changes):
    settings = {"rank": 3, "alpha": 6.0, "lr": 0.01, "seed": 1}
    return Adapter(names=matrices(parameters(), on), **(settings | changes))


def trained(lora, seeds=(1, 2, 3), dtype=np.float64):
    for seed in seeds:
        lora.step(lora.gradient(gradients(seed, dtype)), 1.0, 0.9, 1.0)


def difference(weights, start, name):
    return weights[name].astype(np.float64) - start[name]


def test_which_matrices():
    names = list(parameters())
    of_layers = {name for name in names if name.startswith("transformer.h.") and "ve_gate" not in name}
    assert set(matrices(names, ("attn", "mlp"))) == set(matrices(names, MATRICES)) == of_layers
    assert matrices(names, ("mlp",)) == tuple(name for name in names if ".mlp." in name)
    assert matrices(names, ("attn.c_q", "attn.c_v")) == tuple(
        f"transformer.h.{i}.attn.{part}.weight" for i in (0, 1) for part in ("c_q", "c_v")
    )


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_weights_are_the_start_and_the_product_and_all_others_are_frozen(dtype):
    weights, start = parameters(dtype), parameters(dtype)
    lora = LoRA(weights, adapter(on=("attn.c_q", "mlp")))
    assert all((weights[name] == start[name]).all() for name in weights)
    trained(lora, dtype=dtype)
    assert {name for name in weights if (weights[name] != start[name]).any()} == set(lora._adapter.names)
    for name in lora._adapter.names:
        product = 2.0 * lora.state[f"b.{name}"].astype(np.float64) @ lora.state[f"a.{name}"]
        np.testing.assert_allclose(difference(weights, start, name), product, atol=10 * np.finfo(dtype).eps)
        assert np.linalg.matrix_rank(difference(weights, start, name), tol=1e-5) == 3


def test_the_first_step_is_the_gradient_as_far_as_a_sees_it():
    """B is 0: A stays, and the change of W is that of B, whose gradient is s dW Aᵀ and whose step is its sign."""
    weights, start, grads = parameters(), parameters(), gradients(1)
    lora = LoRA(weights, adapter())
    found = lora.gradient(grads)
    lora.step(found, 0.5, 0.9, 1.0, grad_scale=0.1)
    for name in lora._adapter.names:
        a = lora.state[f"a.{name}"]
        assert not found[f"a.{name}"].any()
        np.testing.assert_allclose(found[f"b.{name}"], 2.0 * grads[name] @ a.T)
        g = 0.1 * found[f"b.{name}"]
        expected = -2.0 * 0.5 * 0.01 * (g / (np.abs(g) + 1e-10)) @ a
        np.testing.assert_allclose(difference(weights, start, name), expected, rtol=1e-6, atol=1e-12)


def test_a_full_rank_follows_any_gradient_and_a_lower_one_its_projection():
    """−s dB A = −s² dW AᵀA: with orthonormal rows of A, the part of the gradient in the space of these rows."""
    name = "transformer.h.0.attn.c_q.weight"
    for rank in (32, 3):
        lora = LoRA(parameters(), adapter(on=("attn.c_q",), rank=rank, alpha=float(rank)))
        a = lora.state[f"a.{name}"]
        a[...] = np.linalg.qr(a.T)[0].T
        g = gradients(1)[name]
        projected = lora.gradient(gradients(1))[f"b.{name}"] @ a
        np.testing.assert_allclose(projected, g @ (a.T @ a), atol=1e-12)
        assert np.allclose(projected, g) == (rank == 32)


def test_enough_rank_fits_any_change():
    """Descent on ½‖W − target‖², whose gradient is W − target, gets there; with less rank it does not."""
    name = "transformer.h.0.attn.c_q.weight"
    left = {}
    for rank in (32, 2):
        weights = parameters()
        target = weights[name] + 0.1 * np.random.default_rng(5).standard_normal((32, 32))
        lora = LoRA(weights, adapter(on=("attn.c_q",), rank=rank, alpha=float(rank)))
        for step in range(300):
            grads = {other: p - target if p is weights[name] else 0 * p for other, p in weights.items()}
            lora.step(lora.gradient(grads), 1 - step / 300, 0.9, 1.0)
        left[rank] = np.linalg.norm(weights[name] - target) / (0.1 * 32)
    assert left[32] < 0.02
    assert left[2] > 0.7


def test_what_is_loaded_goes_on_bit_for_bit():
    whole, weights = parameters(np.float32), parameters(np.float32)
    trained(LoRA(whole, adapter()), (1, 2, 3, 4), np.float32)
    saved = LoRA(weights, adapter())
    trained(saved, (1, 2), np.float32)
    resumed = LoRA({name: p.copy() for name, p in weights.items()}, adapter(seed=9))
    resumed.load_state({name: array.copy() for name, array in saved.state_arrays().items()}, saved.steps)
    trained(resumed, (3, 4), np.float32)
    for name, p in whole.items():
        np.testing.assert_array_equal(resumed._weights[name], p)


def test_its_state_is_counted_and_named():
    lora = LoRA(parameters(), adapter())
    shapes = {name: p.shape for name, p in parameters().items()}
    assert sum(array.size for array in lora.state.values()) == state_count(lora._adapter, shapes)
    assert state_count(lora._adapter, shapes) == 3 * trained_count(lora._adapter, shapes)
    state = lora.state_arrays()
    del state["b.transformer.h.1.mlp.c_fc.weight"]
    with pytest.raises(CheckpointError, match=r"optimizer state b\.transformer\.h\.1\.mlp\.c_fc\.weight: missing"):
        lora.load_state(state, 1)
