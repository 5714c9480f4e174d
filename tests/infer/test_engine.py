"""Text token by token: what the engine feeds to the sampler is what the whole model says at every position."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nanochat_np import ops
from nanochat_np.backend import Device, stream
from nanochat_np.infer.engine import Engine
from nanochat_np.infer.kv_cache import KVCache
from nanochat_np.infer.sampler import greedy, random_sampler
from nanochat_np.nn.model import architecture, views
from nanochat_np.text.character import BOS
from tests.nn.networks import bigram, mini_gpt, parameters, variants
from tests.strategies import few, seeds


def weights_of(config, dtype="float64"):
    return views(parameters(config).astype(dtype), architecture(config.kind).shapes(config))


def engine(config):
    return Engine(config, weights_of(config), Device())


class Recorder:
    """A sampler that draws from a generator and keeps the logits that it saw."""

    def __init__(self, seed=0):
        self.seen = []
        self._draw = random_sampler(1.0, 0, 1.0, np.random.default_rng(seed))

    def __call__(self, logits):
        self.seen.append(logits.copy())
        return self._draw(logits)


def in_one_piece(config, tokens):
    """Logits (V,) after ``tokens``, without a cache; BOS cannot be drawn."""
    window = np.array([tokens[-config.block_size :]])
    logits = architecture(config.kind).logits(ops, weights_of(config), config, window)[0][0, -1].copy()
    logits[BOS] = -np.inf
    return logits


@few
@given(
    st.builds(
        mini_gpt,
        st.booleans(),
        st.booleans(),
        block_size=st.integers(1, 5),
        n_layer=st.integers(1, 2),
        n_head=st.sampled_from([1, 2]),
    )
    | st.builds(bigram, st.booleans(), st.booleans()),
    st.lists(st.integers(0, 4), min_size=1, max_size=9),
    seeds,
)
def test_every_token_is_drawn_from_what_the_whole_model_says(config, context, seed):
    """Contexts shorter and longer than the window; tokens until it has slid for a while."""
    sampler = Recorder(seed)
    given_context = list(context)
    tokens = list(engine(config).generate(context, 9, sampler))
    assert context == given_context
    for i, seen in enumerate(sampler.seen):
        np.testing.assert_allclose(seen, in_one_piece(config, context + tokens[:i]), rtol=1e-11, atol=1e-11)


@variants
@pytest.mark.parametrize("network", [bigram, mini_gpt])
def test_bos_is_never_drawn_and_length_is_as_asked(network, tied, normed):
    config = network(tied, normed)
    weights = weights_of(config)
    weights["wte"][BOS] *= 50  # so that a tied head would want nothing else
    writer = Engine(config, weights, Device())
    for sampler in (greedy, random_sampler(100.0, 0, 1.0, np.random.default_rng(0))):
        tokens = list(writer.generate([BOS], 40, sampler))
        assert len(tokens) == 40
        assert BOS not in tokens
    assert list(writer.generate([1], 0, greedy)) == []


def test_equal_seeds_give_equal_text():
    config = mini_gpt(False, True)

    def text(seed, number=0):
        draws = random_sampler(1.0, 0, 1.0, stream(seed, f"sampling/{number}"))
        return list(engine(config).generate([1], 30, draws))

    assert text(1337) == text(1337)
    assert text(1337) != text(1338)
    assert text(1337) != text(1337, number=1)


@pytest.mark.parametrize("network", [bigram, mini_gpt])
def test_bias_is_added_by_the_token_before(network):
    config = network(False, False)
    bias = np.zeros((5, 5))
    bias[2, 3], bias[3, 1] = 2.5, -1.5
    sampler = Recorder()
    tokens = [2, *engine(config).generate([2], 20, sampler, bias)]
    for i, seen in enumerate(sampler.seen):
        shift = seen[1:] - in_one_piece(config, tokens[: i + 1])[1:]  # BOS has no odds to shift
        np.testing.assert_allclose(shift, bias[tokens[i], 1:], atol=1e-12)
    assert {2, 3} <= set(tokens[:-1])


def test_logits_are_float64_whatever_the_weights():
    config = mini_gpt(True, True)
    sampler = Recorder()
    list(Engine(config, weights_of(config, "float32"), Device()).generate([1], 5, sampler))
    assert all(logits.dtype == np.float64 and logits.shape == (5,) for logits in sampler.seen)


def test_only_new_positions_are_computed_while_the_window_fills(monkeypatch):
    config = mini_gpt(False, True, block_size=4)
    lengths = []
    embedding = ops.embedding
    monkeypatch.setattr(ops, "embedding", lambda w, idx: lengths.append(idx.shape[1]) or embedding(w, idx))
    list(engine(config).generate([1, 2], 5, greedy))
    assert lengths == [2, 1, 1, 4, 4]  # two at once, one by one, then the window slides


def test_kv_cache_keeps_what_it_is_given():
    config = mini_gpt(True, True, block_size=4, n_layer=2)
    kv = KVCache(config, Device(), "float64")
    rng = np.random.default_rng(0)
    keys, values = rng.normal(size=(2, 2, 1, 2, 4, 2))  # (L, 1, H, T, D) each
    for start, end in ((0, 3), (3, 4)):
        for layer in (0, 1):
            assert kv.length == start  # every layer adds at the same place
            new = np.s_[layer, :, :, start:end]
            k, v = kv.append(layer, keys[new], values[new])
            np.testing.assert_array_equal(k, keys[layer, :, :, :end])
            np.testing.assert_array_equal(v, values[layer, :, :, :end])
    assert kv.length == 4
