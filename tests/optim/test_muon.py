"""Muon and the groups of the nanochat GPT (`tests/nn/test_gpt.py` holds six whole steps to PyTorch's)."""

import numpy as np
import pytest

from nanochat_np.optim.groups import (
    MuonAdamW,
    Rates,
    adam_groups,
    decay_multiplier,
    lr_multiplier,
    muon_groups,
    muon_momentum,
)
from nanochat_np.optim.muon import muon_update, orthogonalized, second_moment_shape

shapes = pytest.mark.parametrize("shape", [(6, 6), (12, 4), (4, 12)])


def stack(shape, count=3, seed=0):
    return np.random.default_rng(seed).standard_normal((count, *shape))


@shapes
def test_singular_values_come_close_to_1_and_the_norm_is_that_of_an_orthogonal_matrix(shape):
    x = orthogonalized(stack(shape))
    values = np.linalg.svd(x, compute_uv=False)
    assert values.max() / values.min() < 2
    np.testing.assert_allclose(np.linalg.norm(x, axis=(-2, -1)), np.sqrt(min(shape)), rtol=1e-6)


def test_the_length_of_the_rows_does_not_matter():
    u = stack((5, 7))
    scaled = u * np.array([1, 10, 0.1, 3, 100])[:, None]
    np.testing.assert_allclose(orthogonalized(scaled), orthogonalized(u), atol=1e-5)


def test_a_gradient_of_zeros_changes_nothing():
    p, before = stack((4, 3)), stack((4, 3))
    muon_update(p, np.zeros_like(p), np.zeros_like(p), np.zeros((3, 4, 1)), 0.1, 0.9, 0.9, 0.0)
    np.testing.assert_array_equal(p, before)


def test_decay_pulls_only_where_the_update_pulls_the_same_way():
    p, g = stack((4, 4), seed=1), stack((4, 4), seed=2)
    after = []
    for decay in (0.0, 0.5):
        q = p.copy()
        muon_update(q, g, np.zeros_like(p), np.zeros((3, 4, 1)), 0.1, 0.0, 0.9, decay)
        after.append(q)
    pulled = after[1] != after[0]
    step = p - after[0]
    np.testing.assert_array_equal(pulled, step * p > 0)
    np.testing.assert_allclose((after[0] - after[1])[pulled], (0.1 * 0.5 * p)[pulled])


@shapes
def test_tall_matrices_take_larger_steps_and_the_mean_square_evens_out(shape):
    p = np.zeros((1, *shape))
    second = np.zeros((1, *second_moment_shape(*shape)))
    muon_update(p, stack(shape, 1), np.zeros_like(p), second, 0.1, 0.0, 0.9, 0.0)
    expected = 0.1 * np.sqrt(max(1, shape[0] / shape[1])) * np.sqrt(min(shape))
    np.testing.assert_allclose(np.linalg.norm(p), expected, rtol=1e-5)
    rows = np.sqrt((p**2).mean(-1 if shape[0] >= shape[1] else -2))
    np.testing.assert_allclose(rows, rows.mean(), rtol=1e-4)


def test_training_on_a_quadratic_comes_closer_in_every_group():
    targets = {
        name: stack((6, 4), 1, i)[0]
        for i, name in enumerate(("transformer.h.0.a", "transformer.h.0.b", "lm_head.weight"))
    }
    p = {name: np.zeros((6, 4)) for name in targets}
    optimizer = MuonAdamW(p, 768, Rates(matrix=0.1, unembedding=0.1, weight_decay=0.0))
    for _ in range(50):
        optimizer.step({name: p[name] - targets[name] for name in p}, 1.0, 0.9, 1.0)
    for name, target in targets.items():
        assert np.linalg.norm(p[name] - target) < np.linalg.norm(target) / 2


def test_groups_are_upstreams():
    names = [
        "resid_lambdas",
        "x0_lambdas",
        "smear_lambda",
        "backout_lambda",
        "transformer.wte.weight",
        "lm_head.weight",
    ]
    names += ["smear_gate.weight", "value_embeds.1.weight"]
    found = {
        group.names: (group.lr, group.beta1, group.beta2, group.weight_decay)
        for group in adam_groups(names, 192, Rates())
    }
    assert found == {
        ("lm_head.weight",): (0.016, 0.8, 0.96, 0.01),
        ("transformer.wte.weight",): (0.6, 0.8, 0.995, 0.001),
        ("value_embeds.1.weight",): (0.3, 0.8, 0.995, 0.01),
        ("resid_lambdas",): (0.005, 0.8, 0.95, 0.05),
        ("x0_lambdas",): (0.5, 0.96, 0.95, 0.0),
        ("smear_gate.weight", "smear_lambda", "backout_lambda"): (0.2, 0.8, 0.95, 0.0),
    }
    stacks = muon_groups(
        {"transformer.h.0.x": (8, 2), "transformer.h.1.x": (8, 2), "transformer.h.0.y": (2, 2)}, Rates()
    )
    assert [(group.shape, len(group.names)) for group in stacks] == [((2, 2), 1), ((8, 2), 2)]


def test_schedules_of_momentum_and_decay():
    assert [muon_momentum(step, 2520, 0.65) for step in (0, 200, 400, 800)] == pytest.approx([0.85, 0.91, 0.97, 0.97])
    assert muon_momentum(2520 - 819, 2520, 0.65) == pytest.approx(0.935)
    assert muon_momentum(2520, 2520, 0.65) == pytest.approx(0.90)
    assert muon_momentum(100, 200, 0.65) == pytest.approx(0.88)  # the warmup wins over the warmdown
    rates = [lr_multiplier(step, 1000, 40, 0.65, 0.05) for step in (0, 19, 39, 40, 350, 675, 1000)]
    assert rates == pytest.approx([1 / 40, 0.5, 1, 1, 1, 0.5 + 0.5 * 0.05, 0.05])
    assert lr_multiplier(30, 50, 40, 0.65, 0.05) == pytest.approx(31 / 40)  # the warmup wins over the warmdown
    assert lr_multiplier(49, 50, 0, 0.0, 0.05) == 1
    assert [decay_multiplier(step, 100) for step in (0, 50, 100)] == pytest.approx([1, 0.5, 0])
