"""The optimizer of the GPT as a whole: its memory, clipping and accumulation, AdamW alone, its state in checkpoints."""

import contextlib
import sys
import tracemalloc

import numpy as np
import pytest

from nanochat_np import kernels
from nanochat_np.backend import select_device, to_numpy
from nanochat_np.errors import CheckpointError
from nanochat_np.nn.gpt_config import GPTConfig, initial
from nanochat_np.optim.clip import clip_scale, global_norm
from nanochat_np.optim.groups import ADAMW_MATRIX_LR, MUON_MATRIX_LR, MuonAdamW, Rates, adam_groups
from nanochat_np.optim.muon import muon_update
from tests.gpu.fake_cupy import fake_cupy

TINY = GPTConfig(sequence_len=8, vocab_size=70, n_layer=2, n_head=2, n_kv_head=1, n_embd=32)
paths = pytest.mark.parametrize("path", [contextlib.nullcontext, kernels.reference_only])
rules = pytest.mark.parametrize("muon", [True, False])


def parameters(config=TINY):
    """Some of them are not 0."""
    rng = np.random.default_rng(0)
    return {name: p + 0.01 * rng.standard_normal(p.shape, np.float32) for name, p in initial(config, rng).items()}


def gradients(seed=1, scale=1.0, config=TINY):
    rng = np.random.default_rng(seed)
    return {name: scale * rng.standard_normal(p.shape, np.float32) for name, p in initial(config, rng).items()}


def trained(optimizer, seeds=(1, 2), scale=1.0, **options):
    for seed in seeds:
        optimizer.step(gradients(seed, scale), 0.7, 0.9, 0.5, **options)


def optimizer_of(p, muon=True, rates=None):
    return MuonAdamW(p, TINY.n_embd, rates or Rates(), muon=muon)


@rules
def test_a_step_takes_no_large_memory_once_the_first_is_done(muon):
    config = GPTConfig(sequence_len=8, vocab_size=256, n_layer=1, n_head=2, n_kv_head=2, n_embd=544)
    p = parameters(config)
    grads, optimizer = gradients(config=config), MuonAdamW(p, config.n_embd, Rates(), muon=muon)
    assert max(g.nbytes for name, g in grads.items() if name.startswith("transformer.h.")) > 2**20
    optimizer.step(grads, 1.0, 0.9, 1.0)
    global_norm(grads)
    tracemalloc.start()
    try:
        optimizer.step(grads, 1.0, 0.9, 1.0)
        global_norm(grads)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 2**20


@rules
@paths
def test_the_scale_of_the_gradient_is_as_if_it_had_been_multiplied(path, muon):
    p = parameters(), parameters()
    scaled, multiplied = (optimizer_of(weights, muon) for weights in p)
    with path():
        trained(scaled, grad_scale=0.25)
        trained(multiplied, scale=0.25)
    for found, expected in (p, (scaled.state, multiplied.state)):
        for name, array in found.items():
            np.testing.assert_allclose(array, expected[name], rtol=1e-4, atol=1e-6, err_msg=name)


@paths
def test_matrices_of_one_shape_are_a_stack(path):
    p, grads = parameters(), gradients()
    optimizer = optimizer_of(p)
    (stack,) = (stack for stack in optimizer.muon if stack.shape == (32, 32))
    assert len(stack.names) == 4
    expected, g = (np.stack([arrays[name] for name in stack.names]) for arrays in (p, grads))
    buffers = np.zeros((4, 32, 32), np.float32), np.zeros((4, 32, 1), np.float32)
    with path():
        optimizer.step(grads, 0.7, 0.9, 0.5)
        muon_update(expected, g, *buffers, 0.7 * MUON_MATRIX_LR, 0.9, 0.9, 0.5 * 0.28)
    found = [p[name] for name in stack.names], *(optimizer.state[name] for name in stack.state_names)
    for arrays, wanted in zip(found, (expected, *buffers), strict=True):
        np.testing.assert_allclose(arrays, wanted, rtol=1e-5, atol=1e-7)


@rules
def test_the_two_paths_agree_and_only_read_the_gradient(muon):
    fused, plain, grads = parameters(), parameters(), gradients()
    before = {name: g.tobytes() for name, g in grads.items()}
    optimizer_of(fused, muon).step(grads, 1.0, 0.9, 1.0, grad_scale=0.5)
    with kernels.reference_only():
        optimizer_of(plain, muon).step(grads, 1.0, 0.9, 1.0, grad_scale=0.5)
    for name, p in fused.items():
        np.testing.assert_allclose(p, plain[name], rtol=1e-4, atol=1e-6, err_msg=name)
    assert {name: g.tobytes() for name, g in grads.items()} == before


@rules
def test_on_a_gpu_it_is_the_same(monkeypatch, muon):
    monkeypatch.setitem(sys.modules, "cupy", fake_cupy())
    device = select_device("cuda")
    plain, grads = parameters(), gradients()
    with kernels.reference_only():
        on_cpu = optimizer_of(plain, muon)
        on_cpu.step(grads, 1.0, 0.9, 1.0, grad_scale=0.5)
    with device.active():
        p, g = ({name: device.array(x) for name, x in arrays.items()} for arrays in (parameters(), grads))
        assert global_norm(g) == pytest.approx(global_norm(grads))
        optimizer = optimizer_of(p, muon)
        optimizer.step(g, 1.0, 0.9, 1.0, grad_scale=0.5)
        resumed = optimizer_of(p, muon)
        resumed.load_state(optimizer.state_arrays(), optimizer.steps)
        for name, array in resumed.state_arrays().items():
            np.testing.assert_allclose(array, on_cpu.state[name], rtol=1e-4, atol=1e-6, err_msg=name)
        for name, array in p.items():
            np.testing.assert_allclose(to_numpy(array), plain[name], rtol=1e-4, atol=1e-6, err_msg=name)


@paths
def test_the_global_norm_is_that_of_all_gradients_in_a_row(path):
    grads = gradients()
    with path():
        norm = global_norm(grads)
    assert isinstance(norm, float)
    assert norm == pytest.approx(np.linalg.norm(np.concatenate([g.ravel().astype(float) for g in grads.values()])))
    assert global_norm({}) == 0
    assert np.isnan(global_norm({"a": np.ones(2), "b": np.array([np.nan])}))


def test_clipping_a_number():
    assert [clip_scale(4.0, 2.0), clip_scale(1.0, 2.0), clip_scale(0.0, 2.0), clip_scale(4.0, 0.0)] == [0.5, 1, 1, 1]
    assert np.isnan(clip_scale(float("nan"), 2.0))


def test_adamw_alone_takes_the_layers_as_one_more_group():
    names = list(parameters())
    *others, layers = adam_groups(names, 192, Rates(weight_decay=0.3), matrices=True)
    assert others == adam_groups(names, 192, Rates())
    assert layers.names == tuple(name for name in names if name.startswith("transformer.h."))
    assert (layers.lr, layers.weight_decay, layers.decay_ends) == (2 * ADAMW_MATRIX_LR, 0.3, True)
    optimizer = optimizer_of(parameters(), muon=False)
    assert not optimizer.muon
    assert set(optimizer.state) == {f"{moment}.{name}" for moment in "mv" for name in names}


def test_the_rate_of_the_layers_is_the_rules_own_unless_it_is_given():
    for muon, default in ((True, MUON_MATRIX_LR), (False, 2 * ADAMW_MATRIX_LR)):
        for rates, factor in ((Rates(), 1), (Rates(matrix=10 * (MUON_MATRIX_LR if muon else ADAMW_MATRIX_LR)), 10)):
            optimizer = MuonAdamW(parameters(), 192, rates, muon=muon)
            group = optimizer.muon[0] if muon else optimizer.adam[-1]
            assert group.lr == pytest.approx(factor * default)


def test_decay_of_the_layers_is_scheduled_under_either_rule_and_of_others_is_not():
    for muon in (True, False):
        after = []
        for multiplier in (0.0, 1.0):
            p = parameters()
            optimizer_of(p, muon).step(gradients(), 1.0, 0.9, multiplier)
            after.append(p)
        assert {name for name in after[0] if (after[0][name] != after[1][name]).any()} == {
            name for name in after[0] if name.startswith("transformer.h.")
        }


@rules
def test_adamw_of_a_matrix_is_the_rule(muon):
    p = parameters()
    start, grads = p["lm_head.weight"].astype(float), gradients()
    optimizer = optimizer_of(p, muon)
    optimizer.step(grads, 0.5, 0.9, 0.3, grad_scale=2.0)
    lr = 0.5 * 0.008 * (32 / 768) ** -0.5
    g = 2 * grads["lm_head.weight"].astype(float)
    np.testing.assert_allclose(p["lm_head.weight"], start * (1 - lr * 0.01) - lr * np.sign(g), atol=1e-7)
    np.testing.assert_allclose(optimizer.state["m.lm_head.weight"], 0.2 * g, rtol=1e-5)
    np.testing.assert_allclose(optimizer.state["v.lm_head.weight"], 0.04 * g * g, rtol=1e-5)


@rules
def test_what_is_loaded_goes_on_bit_for_bit(muon):
    whole = parameters()
    trained(optimizer_of(whole, muon), seeds=(1, 2, 3, 4))
    first = parameters()
    saved = optimizer_of(first, muon)
    trained(saved)
    state = {name: array.copy() for name, array in saved.state_arrays().items()}
    second = {name: p.copy() for name, p in first.items()}
    resumed = optimizer_of(second, muon)
    resumed.load_state(state, saved.steps)
    trained(saved, seeds=(3, 4))
    trained(resumed, seeds=(3, 4))
    for name, p in whole.items():
        np.testing.assert_array_equal(second[name], p)
        np.testing.assert_array_equal(first[name], p)
    assert resumed.steps == 4
    for name, array in saved.state_arrays().items():
        np.testing.assert_array_equal(resumed.state[name], array)
        assert not np.shares_memory(resumed.state[name], state[name])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda state: state.pop("v.lm_head.weight"), "optimizer state v.lm_head.weight: missing"),
        (lambda state: state.update({"m.other": np.zeros(3)}), "optimizer state m.other: not one that this model has"),
        (
            lambda state: state.update({"momentum.32x32": np.zeros((1, 32, 32), np.float32)}),
            r"optimizer state momentum.32x32: float32 \(1, 32, 32\) where this model has float32 \(4, 32, 32\)",
        ),
        (
            lambda state: state.update({"m.x0_lambdas": np.zeros(2)}),
            r"optimizer state m.x0_lambdas: float64 \(2,\) where this model has float32 \(2,\)",
        ),
    ],
)
def test_state_that_does_not_fit_is_named_and_nothing_changes(change, message):
    p = parameters()
    optimizer = optimizer_of(p)
    trained(optimizer)
    before = {name: array.tobytes() for name, array in optimizer.state_arrays().items()}
    state = {name: np.zeros_like(array) for name, array in optimizer.state_arrays().items()}
    change(state)
    with pytest.raises(CheckpointError, match=f"^{message}[^\n]*$"):
        optimizer.load_state(state, 7)
    assert {name: array.tobytes() for name, array in optimizer.state_arrays().items()} == before
    assert optimizer.steps == 2
