"""Gradients of whole models: by differences over free shapes, and against the scalar tape."""

import contextlib
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nanochat_np import kernels, ops
from nanochat_np.nn.model import architecture, views
from nanochat_np.train.scalar import record
from tests.gradcheck import gradcheck
from tests.nn.networks import bigram, loss_and_gradient, mini_gpt, parameters, windows_of
from tests.strategies import New, few, seeds

PATHS = {"reference": kernels.reference_only, "fused": contextlib.nullcontext}
paths = pytest.mark.parametrize("path", PATHS)


@st.composite
def mini_gpts(draw, largest=3):
    """Configs of free n_layer, n_head, n_embd, block_size, vocabulary and variant."""
    size = st.integers(1, largest)
    n_head = draw(size)
    return mini_gpt(
        draw(st.booleans()),
        draw(st.booleans()),
        vocab_size=draw(st.integers(2, 6)),
        block_size=draw(st.integers(1, 5)),
        n_layer=draw(size),
        n_head=n_head,
        n_embd=n_head * draw(size),
    )


bigrams = st.builds(bigram, st.booleans(), st.booleans(), vocab_size=st.integers(2, 6))


def check_gradient(config, windows, seed):
    def backward(dloss, gradient):
        return dloss * gradient

    new = New(seed)
    gradcheck(lambda p: loss_and_gradient(config, p, windows), backward, [parameters(config, seed)], new=new)


@paths
@few
@given(st.one_of(mini_gpts(), bigrams), st.integers(1, 8), st.data(), seeds)
def test_gradient_is_the_derivative_of_the_loss(path, config, batch, data, seed):
    time = data.draw(st.integers(1, config.block_size))  # a window may be shorter than the block
    with PATHS[path]():
        check_gradient(config, windows_of(config, batch, seed, time), seed)


@paths
@few
@given(st.one_of(mini_gpts(largest=2), bigrams), st.integers(1, 3), seeds)
def test_loss_and_gradient_are_those_of_the_scalar_tape(path, config, batch, seed):
    p, windows = parameters(config, seed), windows_of(config, batch, seed)
    program = record(config)
    by_tape = [program.loss_and_gradient(p, window) for window in windows]
    with PATHS[path]():
        loss, gradient = loss_and_gradient(config, p, windows)
    np.testing.assert_allclose(loss, np.mean([loss for loss, _ in by_tape]), rtol=1e-10)
    expected = np.mean([gradient for _, gradient in by_tape], axis=0)
    np.testing.assert_allclose(gradient, expected, rtol=1e-10, atol=1e-10 * np.abs(expected).max())


def test_gradients_are_added():
    config = mini_gpt(True, True)
    p, windows = parameters(config), windows_of(config, 2)
    model, before = architecture(config.kind), parameters(config, 1)
    shapes, after = model.shapes(config), before.copy()
    _, cache = model.loss(ops, views(p, shapes), config, windows[:, :-1], windows[:, 1:])
    model.backward(ops, cache, views(after, shapes))
    np.testing.assert_allclose(after - before, loss_and_gradient(config, p, windows)[1], atol=1e-14)


@paths
@few
@given(bigrams, st.integers(1, 5), seeds)
def test_pairs_that_share_a_context_can_be_counted(path, config, repeats, seed):
    """More pairs than tokens go by counts, fewer row by row: the mean over all of them is the same."""
    size = config.vocab_size
    p, windows = parameters(config, seed), windows_of(config, size * repeats + 1, seed)
    with PATHS[path]():
        loss, gradient = loss_and_gradient(config, p, windows)
        rows = [loss_and_gradient(config, p, window[None, :]) for window in windows]
    np.testing.assert_allclose(loss, np.mean([loss for loss, _ in rows]), rtol=1e-12)
    np.testing.assert_allclose(gradient, np.mean([gradient for _, gradient in rows], axis=0), atol=1e-13)


def test_work_is_bounded_by_the_vocabulary():
    config, computed = bigram(False, True), []
    spy = SimpleNamespace(**vars(ops))
    spy.linear = lambda x, w: computed.append(x.shape) or ops.linear(x, w)
    windows = windows_of(config, 100)
    weights = views(parameters(config), architecture("bigram").shapes(config))
    architecture("bigram").loss(spy, weights, config, windows[:, :-1], windows[:, 1:])
    assert computed == [(5, 5)]  # each of the five contexts once, for a hundred pairs
