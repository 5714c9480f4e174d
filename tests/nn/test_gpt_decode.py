"""New positions of a text from a cache: the same logits as from the whole text, however it was cut and whatever else
is in the cache."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nanochat_np import kernels
from nanochat_np.backend import Device, stream
from nanochat_np.nn import gpt, gpt_decode
from nanochat_np.nn.gpt_cache import GPTCache
from nanochat_np.nn.gpt_config import GPTConfig, initial
from tests.strategies import few, seeds

ROOM = 140  # a short window is 128, so that its ring turns


def config(architecture="current", heads=2, kv_heads=1, layers=2):
    return GPTConfig(
        architecture=architecture,
        sequence_len=ROOM,
        vocab_size=11,
        n_layer=layers,
        n_head=heads,
        n_kv_head=kv_heads,
        n_embd=12 * heads if heads > 1 else 24,
        window_pattern="SL",
    )


def weights_of(config, dtype="float64", seed=1):
    """None is 0: a fresh model has zeros, which hide mistakes."""
    rng = stream(seed, "test")
    values = initial(config, rng)
    return {name: (v + 0.2 * rng.standard_normal(v.shape)).astype(dtype) for name, v in values.items()}


def whole(w, config, text):
    """Logits (T, V) of all positions, without a cache."""
    return gpt.logits(w, config, np.array([text]))[0]


models = st.builds(
    config,
    st.sampled_from(["current", "classic"]),
    st.just(2),
    st.sampled_from([1, 2]),
    st.integers(1, 3),
)
texts = st.integers(1, ROOM).flatmap(lambda n: st.lists(st.integers(0, 10), min_size=n, max_size=n))


@few
@given(models, texts, st.data())
def test_a_text_cut_anywhere(model, text, data):
    w, cache = weights_of(model), GPTCache(model, Device(), np.float64, 2)
    cuts = sorted(data.draw(st.sets(st.integers(1, len(text)), max_size=4)) | {len(text)})
    found, start = [], 0
    for end in cuts:
        part = np.array(text[start:end])
        alone = len(part) == 1 and data.draw(st.booleans())
        continued = (
            gpt_decode.step(w, model, part, cache, [1]) if alone else gpt_decode.extend(w, model, part, cache, 1)
        )
        found.append(gpt_decode.head(w, model, continued))
        start = end
    np.testing.assert_allclose(np.concatenate(found), whole(w, model, text), rtol=1e-9, atol=1e-9)


@few
@given(models, st.lists(st.integers(1, ROOM - 3), min_size=1, max_size=3), seeds)
def test_several_texts_of_different_lengths_go_on_together(model, lengths, seed):
    rng = np.random.default_rng(seed)
    w, cache = weights_of(model), GPTCache(model, Device(), np.float64, len(lengths) + 1)
    slots = list(rng.permutation(len(lengths) + 1)[: len(lengths)])
    given_texts = [rng.integers(0, 11, length + 3) for length in lengths]
    for slot, text in zip(slots, given_texts, strict=True):
        gpt_decode.extend(w, model, text[:-3], cache, slot)
    for back in (3, 2, 1):
        new = np.array([text[-back] for text in given_texts])
        logits = gpt_decode.head(w, model, gpt_decode.step(w, model, new, cache, slots))
        for row, text in enumerate(given_texts):
            expected = whole(w, model, text[: len(text) - back + 1])[-1]
            np.testing.assert_allclose(logits[row], expected, rtol=1e-9, atol=1e-9)


def test_a_slot_is_used_again_and_copied():
    model = config()
    w, cache = weights_of(model), GPTCache(model, Device(), np.float64, 2)
    first, second = np.arange(ROOM - 1) % 7, np.array([5, 1, 4])
    gpt_decode.extend(w, model, first, cache, 0)
    cache.copy(0, 1)
    cache.clear(0)
    np.testing.assert_allclose(
        gpt_decode.head(w, model, gpt_decode.extend(w, model, second, cache, 0)), whole(w, model, second), rtol=1e-9
    )
    x = gpt_decode.step(w, model, np.array([3]), cache, [1])
    np.testing.assert_allclose(gpt_decode.head(w, model, x)[0], whole(w, model, [*first, 3])[-1], rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("architecture", ["current", "classic"])
def test_in_float32_with_kernels_and_without(architecture):
    model = config(architecture, heads=2, kv_heads=1)
    w, text = weights_of(model, "float32"), np.arange(ROOM) % 9
    expected = whole(weights_of(model), model, text)

    def decoded():
        cache = GPTCache(model, Device(), np.float32, 1)
        parts = [gpt_decode.extend(w, model, text[: ROOM - 5], cache, 0)]
        parts += [gpt_decode.step(w, model, text[i : i + 1], cache, [0]) for i in range(ROOM - 5, ROOM)]
        return gpt_decode.head(w, model, np.concatenate(parts))

    with kernels.reference_only():
        np.testing.assert_allclose(decoded(), expected, rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(decoded(), expected, rtol=1e-4, atol=1e-4)
