"""Small models and their tokenizer, for what goes to other programs and comes back."""

import functools

import numpy as np

from nanochat_np.interop.model import Model
from nanochat_np.kernels import reference_only
from nanochat_np.nn import gpt
from nanochat_np.nn.gpt_config import FLOAT32_EPS, GPTConfig, shapes
from nanochat_np.text.bpe import BYTES, BpeTokenizer

TOKENIZER = BpeTokenizer((*BYTES, b"ab", b"th", b"the", b" the", b"\n\n", "é".encode()))
_SHAPE = {"sequence_len": 256, "vocab_size": TOKENIZER.vocab_size, "n_layer": 2, "n_head": 4, "n_kv_head": 2}
CURRENT = GPTConfig(**_SHAPE, n_embd=48, window_pattern="SL")
# As karpathy/nanochat had it in October 2025.
CLASSIC = GPTConfig(
    **_SHAPE,
    architecture="classic",
    n_embd=16,
    window_pattern="L",
    rope_base=10000.0,
    qk_scale=1.0,
    norm_eps=FLOAT32_EPS,
)


@functools.cache
def model(config: GPTConfig, seed: int = 0) -> Model:
    """Weights none of which is 0."""
    rng = np.random.default_rng(seed)
    weights = {name: (0.3 * rng.standard_normal(shape)).astype(np.float32) for name, shape in shapes(config).items()}
    return Model(config=config, weights=weights, step=7, train_seconds=2.5, settings={"lr": 0.02})


def tokens(config: GPTConfig) -> np.ndarray:
    """(1, 150): further than a short window sees."""
    return np.random.default_rng(1).integers(0, config.vocab_size, (1, 150))


def logits(model: Model) -> np.ndarray:
    """(1, 150, V), by the readable operations: kernels that are not loaded yet would take a second."""
    with reference_only():
        return gpt.logits(model.weights, model.config, tokens(model.config))


def assert_same_weights(found: dict[str, np.ndarray], expected: dict[str, np.ndarray]) -> None:
    assert list(found) == list(expected)
    for name, value in expected.items():
        assert found[name].dtype == np.float32
        np.testing.assert_array_equal(found[name], value, err_msg=name)
