"""The nanochat GPT's settings: shapes, windows, initial values, and what a token costs.

Source: karpathy/nanochat at 92d63d4, gpt.py.  ``architecture`` "classic" is the one of October 2025, which Hugging
Face's NanoChat class implements; "current" adds value embeddings with gates, smear, residual and x0 lambdas, backout
and windows.
"""

import math
from typing import Literal

import msgspec
import numpy as np

from nanochat_np.errors import ConfigError
from nanochat_np.nn.model import Shapes

FLOAT32_EPS = float(np.finfo(np.float32).eps)  # upstream's rms_norm adds it in every precision
SMEAR_CHANNELS, GATE_CHANNELS = 24, 12
VALUE_GATE_SCALE = 3.0
SOFTCAP = 15.0
PAD_VOCAB_TO = 64


class GPTConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Everything that decides the shapes and the function of a model.

    The defaults of ``rope_base``, ``qk_scale`` and ``norm_eps`` are the current architecture's; a classic model was
    trained with others (10000, 1 and 1e-6 in Hugging Face folders).
    """

    architecture: Literal["current", "classic"] = "current"
    sequence_len: int = 2048
    vocab_size: int = 32768
    n_layer: int = 12
    n_head: int = 6
    n_kv_head: int = 6
    n_embd: int = 768
    window_pattern: str = "SSSL"
    rope_base: float = 100000.0
    qk_scale: float = 1.2
    norm_eps: float = FLOAT32_EPS

    def __post_init__(self) -> None:
        if self.n_embd % self.n_head or (self.n_embd // self.n_head) % 2:
            raise ConfigError(f"--n-embd {self.n_embd}: not an even width for each of --n-head {self.n_head} heads")
        if not 1 <= self.n_kv_head <= self.n_head or self.n_head % self.n_kv_head:
            raise ConfigError(f"--n-kv-head {self.n_kv_head}: --n-head {self.n_head} is not a multiple of it")
        if self.is_current and self.n_embd < SMEAR_CHANNELS:
            raise ConfigError(f"--n-embd {self.n_embd}: the current architecture takes at least {SMEAR_CHANNELS}")
        if not self.window_pattern or set(self.window_pattern.upper()) - set("SL"):
            raise ConfigError(f"--window-pattern {self.window_pattern!r}: takes the letters S (short) and L (long)")

    @property
    def head_dim(self) -> int:
        return self.n_embd // self.n_head

    @property
    def padded_vocab_size(self) -> int:
        """Rows of the token tables: the vocabulary rounded up to a multiple of 64."""
        return math.ceil(self.vocab_size / PAD_VOCAB_TO) * PAD_VOCAB_TO

    @property
    def is_current(self) -> bool:
        return self.architecture == "current"

    def has_value_embedding(self, layer: int) -> bool:
        """Every other layer, the last one always."""
        return self.is_current and layer % 2 == (self.n_layer - 1) % 2

    def windows(self) -> list[int]:
        """How far back each layer sees: a query at i attends to j where 0 ≤ i − j ≤ window.

        Short is a quarter of the sequence, rounded up to a multiple of 128; the last layer is always long.
        """
        if not self.is_current:
            return [self.sequence_len] * self.n_layer
        short = math.ceil(math.ceil(self.sequence_len / 4) / 128) * 128
        sizes = {"S": short, "L": self.sequence_len}
        pattern = self.window_pattern.upper()
        return [sizes[pattern[i % len(pattern)]] for i in range(self.n_layer - 1)] + [self.sequence_len]


def shapes(config: GPTConfig) -> Shapes:
    """Name and shape of each parameter under upstream's names and in its order; matrices are (out, in)."""
    width, vocab, kv_width = config.n_embd, config.padded_vocab_size, config.n_kv_head * config.head_dim
    named: Shapes = {}
    if config.is_current:
        named |= {"resid_lambdas": (config.n_layer,), "x0_lambdas": (config.n_layer,)}
        named |= {"smear_lambda": (1,), "backout_lambda": (1,)}
    named["transformer.wte.weight"] = (vocab, width)
    for i in range(config.n_layer):
        h = f"transformer.h.{i}"
        named[f"{h}.attn.c_q.weight"] = (width, width)
        named[f"{h}.attn.c_k.weight"] = (kv_width, width)
        named[f"{h}.attn.c_v.weight"] = (kv_width, width)
        named[f"{h}.attn.c_proj.weight"] = (width, width)
        if config.has_value_embedding(i):
            named[f"{h}.attn.ve_gate.weight"] = (config.n_kv_head, GATE_CHANNELS)
        named[f"{h}.mlp.c_fc.weight"] = (4 * width, width)
        named[f"{h}.mlp.c_proj.weight"] = (width, 4 * width)
    named["lm_head.weight"] = (vocab, width)
    if config.is_current:
        named["smear_gate.weight"] = (1, SMEAR_CHANNELS)
        for i in filter(config.has_value_embedding, range(config.n_layer)):
            named[f"value_embeds.{i}.weight"] = (vocab, kv_width)
    return named


_DRAWN = 1 << 16  # numbers at a time


def initial(config: GPTConfig, rng: np.random.Generator) -> dict[str, np.ndarray]:
    """Float32 values to start from, drawn in the order of `shapes`.

    wte N(0, 0.8²), lm_head N(0, 0.001²); matrices uniform with standard deviation 1/√C, c_fc 0.4 of it; every c_proj 0,
    so that a block starts as the identity; gates U(0, 0.02); lambdas ramp over the layers.
    """
    bound = math.sqrt(3 / config.n_embd)
    ramp = np.arange(config.n_layer) / max(config.n_layer - 1, 1)
    fixed = {
        "resid_lambdas": 1.15 - 0.10 * ramp,
        "x0_lambdas": 0.20 - 0.15 * ramp,
        "smear_lambda": np.zeros(1),
        "backout_lambda": np.full(1, 0.2),
    }

    def draw(name: str, shape: tuple[int, ...]) -> np.ndarray:
        if name == "transformer.wte.weight":
            return 0.8 * rng.standard_normal(shape)
        if name == "lm_head.weight":
            return 0.001 * rng.standard_normal(shape)
        if name.endswith("gate.weight"):
            return rng.uniform(0, 0.02, shape)
        return rng.uniform(-bound, bound, shape) * (0.4 if name.endswith("c_fc.weight") else 1)

    def value(name: str, shape: tuple[int, ...]) -> np.ndarray:
        if name in fixed:
            return fixed[name].astype(np.float32)
        values = np.zeros(shape, np.float32)
        if not name.endswith("c_proj.weight"):
            # A few rows at a time: a whole table in double precision would be no small part of what training needs.
            rows = max(1, _DRAWN // shape[1])
            for start in range(0, shape[0], rows):
                part = values[start : start + rows]
                part[...] = draw(name, part.shape)
        return values

    return {name: value(name, shape) for name, shape in shapes(config).items()}


def scaling_counts(config: GPTConfig) -> dict[str, int]:
    """Parameters by group, and their total: wte, value_embeds, lm_head, transformer_matrices, scalars, total."""
    groups = dict.fromkeys(("wte", "value_embeds", "lm_head", "transformer_matrices", "scalars"), 0)
    for name, shape in shapes(config).items():
        groups[_group_of(name)] += math.prod(shape)
    return groups | {"total": sum(groups.values())}


def _group_of(name: str) -> str:
    if name == "transformer.wte.weight":
        return "wte"
    if name.startswith("transformer.h."):
        return "transformer_matrices"
    return {"value_embeds": "value_embeds", "lm_head": "lm_head"}.get(name.split(".")[0], "scalars")


def flops_per_token(config: GPTConfig) -> int:
    """Operations a token in training: 6 for each weight of a product, and 12·H·D·window for each layer's attention."""
    products = sum(
        math.prod(shape)
        for name, shape in shapes(config).items()
        if len(shape) == 2 and not name.startswith(("transformer.wte", "value_embeds"))
    )
    attention = sum(12 * config.n_embd * min(window, config.sequence_len) for window in config.windows())
    return 6 * products + attention
