"""What a model is: its parameters, where it starts, and what its variants change."""

import math

import numpy as np
import pytest

from nanochat_np import ops
from nanochat_np.nn.model import architecture, flatten, parameter_count, views
from tests.nn.networks import bigram, loss_and_gradient, mini_gpt, parameters, variants, windows_of

LAB = {"vocab_size": 27, "block_size": 8, "n_layer": 1, "n_head": 4, "n_embd": 16}


def count(config):
    return parameter_count(architecture(config.kind).shapes(config))


def logits(config, p, idx):
    model = architecture(config.kind)
    return model.logits(ops, views(p, model.shapes(config)), config, np.asarray(idx))[0]


@variants
def test_parameter_counts_of_the_lab(tied, normed):
    assert count(bigram(tied, normed, vocab_size=27)) == (729 if tied else 1458)
    assert count(mini_gpt(tied, normed, **LAB)) == (3632 if tied else 4064)


@variants
@pytest.mark.parametrize("network", [bigram, mini_gpt])
def test_views_name_the_flat_parameters_without_a_copy(network, tied, normed):
    config = network(tied, normed)
    shapes, p = architecture(config.kind).shapes(config), parameters(config)
    named = views(p, shapes)
    assert {name: array.shape for name, array in named.items()} == shapes
    np.testing.assert_array_equal(flatten(named, shapes), p)
    for array in named.values():
        array += 1
    np.testing.assert_array_equal(p, parameters(config) + 1)


@variants
@pytest.mark.parametrize("network", [bigram, mini_gpt])
def test_an_untrained_model_knows_nothing(network, tied, normed):
    config = network(tied, normed, vocab_size=27)
    model = architecture(config.kind)
    weights = model.initial(config, np.random.default_rng(0))
    assert {name: values.shape for name, values in weights.items()} == model.shapes(config)
    p = flatten(weights, model.shapes(config))
    loss, gradient = loss_and_gradient(config, p, windows_of(config, 64))
    assert loss == pytest.approx(math.log(27), rel=0.05)
    assert np.isfinite(gradient).all()
    assert np.abs(gradient).max() > 0


@variants
def test_blocks_start_as_the_identity(tied, normed):
    config = mini_gpt(tied, normed, n_layer=2)
    weights = architecture("mini-gpt").initial(config, np.random.default_rng(0))
    for name, values in weights.items():
        assert (name.endswith((".wo", ".fc2"))) == (np.abs(values).max() == 0)
    h = weights["wte"][[[1, 2, 3]]] + weights["wpe"]
    h = ops.rms_norm(h)[0] if normed else h
    p = flatten(weights, architecture("mini-gpt").shapes(config))
    np.testing.assert_allclose(logits(config, p, [[1, 2, 3]]), h @ weights["wte" if tied else "lm_head"].T, rtol=1e-12)


@variants
def test_a_bigram_is_a_table(tied, normed):
    config = bigram(tied, normed)
    w = views(parameters(config), architecture("bigram").shapes(config))
    e = w["wte"] / np.sqrt(np.mean(w["wte"] ** 2, -1, keepdims=True) + 1e-5) if normed else w["wte"]
    table = e @ w["wte" if tied else "lm_head"].T
    np.testing.assert_allclose(logits(config, parameters(config), [[3], [0]]), table[[[3], [0]]], rtol=1e-12)


def test_mini_gpt_sees_the_past_and_not_the_future():
    config = mini_gpt(False, True, block_size=4, n_layer=2)
    p = parameters(config)
    base = logits(config, p, [[1, 2, 3, 4]])
    np.testing.assert_allclose(logits(config, p, [[1, 2, 3, 0]])[:, :3], base[:, :3], rtol=1e-12)
    np.testing.assert_allclose(logits(config, p, [[1, 2]]), base[:, :2], rtol=1e-12)
    assert (np.abs(logits(config, p, [[0, 2, 3, 4]]) - base).max(-1) > 1e-3).all()


def test_mini_gpt_knows_positions():
    config = mini_gpt(False, True)
    same = logits(config, parameters(config), [[2, 2, 2]])[0]
    assert np.abs(same[0] - same[1]).max() > 1e-3
    assert np.abs(same[1] - same[2]).max() > 1e-3


def test_an_unknown_kind_is_a_key_error():
    with pytest.raises(KeyError):
        architecture("transformer")
