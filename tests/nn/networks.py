"""Small models of every variant, with parameters none of which is 0, and their loss and gradient."""

import numpy as np
import pytest

from nanochat_np import ops
from nanochat_np.nn.model import ModelConfig, architecture, parameter_count, views

variants = pytest.mark.parametrize(
    ("tied", "normed"),
    [(True, True), (True, False), (False, True), (False, False)],
    ids=["tied-normed", "tied", "untied-normed", "untied"],
)


def bigram(tied, normed, vocab_size=5):
    return ModelConfig(
        kind="bigram",
        vocab_size=vocab_size,
        block_size=1,
        n_layer=0,
        n_head=0,
        n_embd=vocab_size,
        tie_lm_head=tied,
        input_rmsnorm=normed,
    )


def mini_gpt(tied, normed, vocab_size=5, block_size=3, n_layer=1, n_head=2, n_embd=4):
    return ModelConfig(
        kind="mini-gpt",
        vocab_size=vocab_size,
        block_size=block_size,
        n_layer=n_layer,
        n_head=n_head,
        n_embd=n_embd,
        tie_lm_head=tied,
        input_rmsnorm=normed,
    )


def parameters(config, seed=0):
    """(P,) float64, normal with standard deviation 0.5: a fresh model has zeros, which hide gradients."""
    count = parameter_count(architecture(config.kind).shapes(config))
    return 0.5 * np.random.default_rng(seed).standard_normal(count)


def windows_of(config, batch, seed=0, time=None):
    """(B, T + 1) tokens; T is the block size unless ``time`` says otherwise."""
    shape = (batch, (time or config.block_size) + 1)
    return np.random.default_rng(seed).integers(0, config.vocab_size, shape)


def loss_and_gradient(config, p, windows):
    """Loss and gradient (P,) by the array operations, in the precision of ``p`` (P,).   windows (B, T + 1)."""
    model = architecture(config.kind)
    shapes, gradient = model.shapes(config), np.zeros_like(p)
    loss, cache = model.loss(ops, views(p, shapes), config, windows[:, :-1], windows[:, 1:])
    model.backward(ops, cache, views(gradient, shapes))
    return loss, gradient
