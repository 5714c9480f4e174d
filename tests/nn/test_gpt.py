"""The nanochat GPT: recorded numbers of PyTorch, finite differences, and the tables of its settings."""

import importlib.util
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nanochat_np.errors import ConfigError
from nanochat_np.nn import gpt
from nanochat_np.nn.gpt_config import GPTConfig, flops_per_token, initial, scaling_counts, shapes
from nanochat_np.nn.model import flatten, parameter_count, views
from nanochat_np.ops import blockwise_attention, head
from tests.gradcheck import gradcheck
from tests.strategies import New, few, seeds

GOLDEN = Path(__file__).parents[1] / "golden"


def check_golden(path):
    script = Path(__file__).parents[2] / "scripts" / "check_golden.py"
    spec = importlib.util.spec_from_file_location("check_golden", script)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.check(path)


def test_logits_loss_gradients_and_six_optimizer_steps_are_those_of_pytorch():
    found = check_golden(GOLDEN / "gpt_one_layer.npz")
    assert found["ok"], found


@st.composite
def configs(draw):
    """Small models: layers, grouped heads, windows, odd vocabularies, both architectures."""
    keys, group, half = draw(st.integers(1, 2)), draw(st.integers(1, 2)), draw(st.integers(1, 2))
    return GPTConfig(
        architecture=draw(st.sampled_from(["current", "classic"])),
        sequence_len=draw(st.sampled_from([8, 130])),
        vocab_size=draw(st.integers(2, 70)),
        n_layer=draw(st.integers(1, 3)),
        n_head=keys * group,
        n_kv_head=keys,
        n_embd=max(keys * group * 2 * half, 24 // (keys * group) * (keys * group)),
        window_pattern=draw(st.sampled_from(["L", "S", "SL", "SSSL"])),
    )


@few
@given(config=configs(), time=st.integers(2, 7), seed=seeds)
def test_gradient_is_the_derivative_of_the_loss(config, time, seed):
    rng = np.random.default_rng(seed)
    idx = rng.integers(0, config.vocab_size, (2, time))
    targets = rng.integers(-1, config.vocab_size, (2, time))
    targets[0, 0] = 0
    table = shapes(config)

    def loss(p):
        return gpt.loss(views(p, table), config, idx, targets), p

    def backward(dloss, p):
        gradient = np.zeros_like(p)
        grads = views(gradient, table)
        loss, cache = gpt.forward(views(p, table), config, idx, targets, grads, dloss)
        gpt.backward(cache, grads)
        assert loss == pytest.approx(gpt.loss(views(p, table), config, idx, targets), rel=1e-12)
        return gradient

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(blockwise_attention, "BLOCK", 3)
        patch.setattr(head, "CHUNK_LOGITS", 3 * config.vocab_size)
        p = 0.3 * rng.standard_normal(parameter_count(table))
        gradcheck(loss, backward, [p], new=New(seed))


def test_losses_of_tokens_have_the_loss_as_their_mean():
    config = GPTConfig(sequence_len=16, vocab_size=50, n_layer=2, n_head=2, n_kv_head=1, n_embd=32)
    w = initial(config, np.random.default_rng(0))
    w["lm_head.weight"] *= 300
    idx = np.random.default_rng(1).integers(0, 50, (2, 16))
    targets = np.where(idx > 25, -1, idx)
    each, mean = gpt.losses(w, config, idx, targets), gpt.loss(w, config, idx, targets)
    assert each.shape == idx.shape
    np.testing.assert_allclose(each.sum() / (targets >= 0).sum(), mean, rtol=1e-6)
    log_p = gpt.logits(w, config, idx)
    log_p = log_p - np.log(np.exp(log_p).sum(-1, keepdims=True))
    np.testing.assert_allclose(
        -np.take_along_axis(log_p, idx[..., None], -1)[..., 0][targets >= 0], each[targets >= 0], rtol=1e-4
    )


# Upstream's own counts at sequence length 2048, vocabulary 32768, pattern SSSL, 128 channels a head.
UPSTREAM = {
    2: (128, 4_194_304, 4_194_304, 393_228, 30, 12_976_170, 3.145750e07),
    4: (256, 8_388_608, 16_777_216, 3_145_776, 34, 36_700_242, 8.021650e07),
    12: (768, 25_165_824, 150_994_944, 84_935_088, 50, 286_261_730, 7.596960e08),
    20: (1280, 41_943_040, 419_430_400, 393_217_200, 66, 896_533_746, 2.886213e09),
}


@pytest.mark.parametrize("depth", UPSTREAM)
def test_counts_and_operations_are_upstreams(depth):
    width, table, value, matrices, scalars, total, operations = UPSTREAM[depth]
    config = GPTConfig(n_layer=depth, n_embd=width, n_head=width // 128, n_kv_head=width // 128)
    counts = scaling_counts(config)
    assert counts == {
        "wte": table,
        "value_embeds": value,
        "lm_head": table,
        "transformer_matrices": matrices,
        "scalars": scalars,
        "total": total,
    }
    assert flops_per_token(config) == pytest.approx(operations, rel=1e-6)
    assert parameter_count(shapes(config)) == total


def test_windows():
    def of(pattern, layers, length):
        return GPTConfig(window_pattern=pattern, n_layer=layers, sequence_len=length).windows()

    assert of("SSSL", 6, 2048) == [512, 512, 512, 2048, 512, 2048]
    assert of("sl", 3, 1024) == [256, 1024, 1024]
    assert of("S", 2, 512) == [128, 512]
    assert GPTConfig(architecture="classic", n_layer=2, sequence_len=64).windows() == [64, 64]


def test_initial_values():
    config = GPTConfig(sequence_len=16, vocab_size=300, n_layer=3, n_head=2, n_kv_head=2, n_embd=64)
    w = initial(config, np.random.default_rng(0))
    assert {name: value.shape for name, value in w.items()} == shapes(config)
    assert len(flatten(w, shapes(config))) == parameter_count(shapes(config))
    assert w["transformer.wte.weight"].std() == pytest.approx(0.8, rel=0.05)
    assert w["transformer.h.0.attn.c_q.weight"].std() == pytest.approx(1 / 8, rel=0.05)
    assert w["transformer.h.0.mlp.c_fc.weight"].std() == pytest.approx(0.4 / 8, rel=0.05)
    assert not w["transformer.h.1.mlp.c_proj.weight"].any()
    np.testing.assert_allclose(w["resid_lambdas"], [1.15, 1.10, 1.05])
    np.testing.assert_allclose(w["x0_lambdas"], [0.20, 0.125, 0.05])
    loss = gpt.loss(w, config, np.zeros((1, 4), int), np.ones((1, 4), int))
    assert loss == pytest.approx(np.log(300), rel=0.01)


@pytest.mark.parametrize(
    ("wrong", "named"),
    [
        ({"n_head": 5}, "--n-embd"),
        ({"n_kv_head": 4}, "--n-kv-head"),
        ({"n_embd": 16, "n_head": 2, "n_kv_head": 2}, "at least 24"),
        ({"window_pattern": "SX"}, "S"),
    ],
)
def test_settings_that_make_no_model_are_refused(wrong, named):
    with pytest.raises(ConfigError, match=named):
        GPTConfig(**wrong)
