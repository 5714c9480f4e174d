"""Every token but the first is predicted exactly once, and the sums are those of a loop over tokens."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nanochat_np import ops
from nanochat_np.backend.device import Device
from nanochat_np.evaluate import validation
from nanochat_np.evaluate.validation import validate
from nanochat_np.nn.model import architecture, views
from tests.nn.networks import bigram, mini_gpt, parameters

BYTES = np.array([0, 1, 2, 3, 4])  # token 0 is BOS


def model(kind="mini-gpt", block_size=4):
    config = bigram(False, True) if kind == "bigram" else mini_gpt(False, True, block_size=block_size, n_layer=2)
    return config, views(parameters(config), architecture(kind).shapes(config))


def text(n, seed=0):
    return np.random.default_rng(seed).integers(0, 5, n).astype(np.int32)


def brute_force(config, weights, tokens, predicted):
    """Loss and bits per byte of the tokens at some positions, each predicted on its own from its window so far."""
    nats, bytes_of = [], BYTES[tokens[predicted]]
    for position in predicted:
        start = (position - 1) // config.block_size * config.block_size
        context = tokens[start:position][None, :]
        z = architecture(config.kind).logits(ops, weights, config, context)[0][0, -1]
        nats.append(np.log(np.exp(z - z.max()).sum()) + z.max() - z[tokens[position]])
    nats = np.array(nats)
    return nats.mean(), nats[bytes_of > 0].sum() / (math.log(2) * bytes_of.sum())


@settings(max_examples=15)
@given(n=st.integers(2, 40), block_size=st.integers(1, 9), rows=st.integers(1, 5))
def test_against_a_loop_over_tokens(n, block_size, rows):
    config, weights = model(block_size=block_size)
    tokens = text(n, seed=n)
    tokens[-1] = 4  # something that has bytes
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(validation, "_FLOATS", rows * block_size * validation._floats_per_token(config))
        batches = []
        found = validate(config, weights, tokens, BYTES, Device(), observe=lambda: batches.append(1))
    loss, bpb = brute_force(config, weights, tokens, np.arange(1, n))
    assert found.tokens == n - 1
    assert found.loss == pytest.approx(loss, rel=1e-12)
    assert found.bpb == pytest.approx(bpb, rel=1e-12)
    full, rest = divmod(n - 1, block_size)
    assert len(batches) == math.ceil(full / rows) + (rest > 0)


def test_every_token_is_a_target_once():
    config, _ = model(block_size=3)
    tokens = np.arange(100, 117, dtype=np.int32)
    pairs = [(x, y) for batch in validation._batches(config, tokens, 0, 0) for x, y in zip(*batch, strict=True)]
    assert np.concatenate([y for _, y in pairs]).tolist() == list(range(101, 117))
    assert all((y == x + 1).all() for x, y in pairs)
    assert [len(x) for x, _ in pairs] == [3, 3, 3, 3, 3, 1]


def test_special_tokens_count_for_the_loss_and_not_for_the_bits():
    config, weights = model("bigram")
    tokens = np.array([1, 0, 2, 0, 3])
    found = validate(config, weights, tokens, BYTES, Device())
    loss, bpb = brute_force(config, weights, tokens, np.arange(1, 5))
    assert (found.loss, found.bpb) == (pytest.approx(loss, rel=1e-12), pytest.approx(bpb, rel=1e-12))
    only = brute_force(config, weights, tokens, np.array([2, 4]))
    assert found.bpb == pytest.approx(only[1], rel=1e-12)  # the same as without the two BOS
    assert found.loss != pytest.approx(only[0], rel=1e-3)


def test_bits_of_a_text_without_bytes():
    config, weights = model("bigram")
    found = validate(config, weights, np.array([1, 0]), BYTES, Device())
    assert math.isnan(found.bpb)
    assert found.loss > 0


def test_a_sample_of_the_tokens():
    config, weights = model(block_size=4)
    tokens = text(403)
    everything = validate(config, weights, tokens, BYTES, Device())
    sampled = [validate(config, weights, tokens, BYTES, Device(), sample=50, seed=seed) for seed in (1, 1, 2)]
    assert [found.tokens for found in sampled] == [52, 52, 52]  # whole windows
    assert sampled[0] == sampled[1] != sampled[2]
    assert everything.tokens == 402
    for large in (400, 402, 10**9):  # no less than there is
        assert validate(config, weights, tokens, BYTES, Device(), sample=large) == everything
    assert validate(config, weights, text(4), BYTES, Device(), sample=1).tokens == 3  # less than one window


def test_a_sample_is_of_different_windows():
    config, weights = model(block_size=4)
    tokens = np.arange(401)
    batches = list(validation._batches(config, tokens, 200, 7))
    starts = np.concatenate([x[:, 0] for x, _ in batches])
    assert len(set(starts.tolist())) == 50
    assert (starts % 4 == 0).all()
    predicted = np.concatenate([y.reshape(-1) for _, y in batches])
    some = text(401)
    found = validate(config, weights, some, BYTES, Device(), sample=200, seed=7)
    loss, bpb = brute_force(config, weights, some, predicted)
    assert (found.loss, found.bpb) == (pytest.approx(loss, rel=1e-12), pytest.approx(bpb, rel=1e-12))


def test_equal_contexts_are_computed_once(monkeypatch):
    """A bigram of a whole text runs on at most V rows, with the figures of the plain way."""
    config, weights = model("bigram")
    tokens = text(300)
    found = validate(config, weights, tokens, BYTES, Device())
    loss, bpb = brute_force(config, weights, tokens, np.arange(1, 300))
    assert (found.loss, found.bpb) == (pytest.approx(loss, rel=1e-12), pytest.approx(bpb, rel=1e-12))
    rows = []
    logits = architecture("bigram").logits
    monkeypatch.setattr(
        architecture("bigram"),
        "logits",
        lambda ops, w, config, idx: rows.append(idx.shape) or logits(ops, w, config, idx),
    )
    assert validate(config, weights, tokens, BYTES, Device()) == found
    assert rows == [(5, 1)]


def test_precision():
    """float32 weights are computed with as they are; the sums are in float64."""
    config, weights = model(block_size=4)
    tokens = text(2000)
    exact = validate(config, weights, tokens, BYTES, Device())
    found = validate(config, {k: w.astype(np.float32) for k, w in weights.items()}, tokens, BYTES, Device())
    assert found.loss == pytest.approx(exact.loss, rel=1e-6)
    assert found.loss != exact.loss
    assert found.loss != float(np.float32(found.loss))


def test_the_memory_of_an_evaluation_is_bounded():
    """Not only logits: a deep model keeps far more for each token."""
    deep = mini_gpt(True, True, vocab_size=50, block_size=64, n_layer=6, n_head=6, n_embd=384)
    x, _ = next(validation._batches(deep, np.zeros(100_000, np.int32), 0, 0))
    assert x.size == 64  # one window, which takes 3 million floats
    x, _ = next(validation._batches(bigram(True, True), np.zeros(10**6, np.int32), 0, 0))
    assert x.size * 5 <= validation._FLOATS


@pytest.mark.parametrize("sample", [0, 10, 1000])
def test_predicted_positions_are_those_that_are_validated(sample):
    config, weights = model()
    tokens = text(60)
    positions = validation.predicted(config, len(tokens), sample, seed=3)
    found = validate(config, weights, tokens, BYTES, Device(), sample=sample, seed=3)
    assert found.tokens == len(positions) == len(set(positions.tolist()))
    loss, bpb = brute_force(config, weights, tokens, positions + 1)
    assert (found.loss, found.bpb) == (pytest.approx(loss), pytest.approx(bpb))
