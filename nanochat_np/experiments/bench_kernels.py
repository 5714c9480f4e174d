"""Each fused kernel of the CPU beside the reference it stands for."""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from nanochat_np import ops
from nanochat_np.backend.random import stream
from nanochat_np.experiments.timing import Work, repeated
from nanochat_np.kernels import TABLE, kernel, pays_on_cpu, reference
from nanochat_np.nn import gpt  # noqa: F401
from nanochat_np.nn.model import ModelConfig, architecture, parameter_count
from nanochat_np.ops.blockwise_attention import blockwise_attention
from nanochat_np.optim.muon import POLAR_EXPRESS

_GPT_SHAPES = "B2 T128 C256 H2 V4096"


class KernelCase(NamedTuple):
    """The reference and the kernel as work, and whether the kernel is what runs for these arguments."""

    reference: Work
    fused: Work
    used: bool


def kernel_cases(config: ModelConfig, batch: int) -> dict[str, KernelCase]:
    """A case for each operation of the table, named with its shapes; in float32.

    The shapes are those of a mini-gpt, and of one small nanochat GPT for the operations that only it has.
    """
    of_mini_gpt = f"B{batch} T{config.block_size} C{config.n_embd}"
    arguments = {name: (of_mini_gpt, args) for name, args in _arguments(config, batch).items()}
    arguments |= {name: (_GPT_SHAPES, args) for name, args in _gpt_arguments().items()}
    found: dict[str, KernelCase] = {}
    for name in sorted(TABLE):
        fused = kernel(name)
        if fused is not None:  # Numba is there
            shapes, args = arguments[name]
            found[f"{name} {shapes}"] = KernelCase(
                repeated(reference(name), *args), repeated(fused, *args), pays_on_cpu(name, *args)
            )
    return found


def _draws() -> tuple[np.random.Generator, Callable[..., np.ndarray]]:
    """A generator, and normal numbers of any shape from it."""
    rng = stream(0, "bench")
    return rng, lambda *shape: rng.standard_normal(shape, np.float32)


def _arguments(c: ModelConfig, batch: int) -> dict[str, tuple[Any, ...]]:
    """Arguments of the operations of a mini-gpt and of the optimizers."""
    rng, draw = _draws()
    idx = rng.integers(0, c.vocab_size, (batch, c.block_size))
    x, hidden = draw(batch, c.block_size, c.n_embd), draw(batch, c.block_size, 4 * c.n_embd)
    heads = [draw(batch, c.n_head, c.block_size, c.n_embd // c.n_head) for _ in range(4)]
    logits = draw(batch, c.block_size, c.vocab_size)
    n_params = parameter_count(architecture(c.kind).shapes(c))
    p, g, m, v = draw(n_params), draw(n_params), draw(n_params), np.abs(draw(n_params))
    settings = 1e-6, 0.9, 0.99, 1e-8, 0.01, 1000
    matrix, momentum, s, square = (draw(1, rows, c.n_embd) for rows in (4 * c.n_embd,) * 2 + (c.n_embd,) * 2)
    return {
        "rms_norm": (x,),
        "rms_norm_backward": (x, ops.rms_norm(x)[1]),
        "relu_squared": (hidden,),
        "relu_squared_backward": (hidden, ops.relu_squared(hidden)[1]),
        "causal_attention": tuple(heads[:3]),
        "causal_attention_backward": (heads[3], ops.causal_attention(*heads[:3])[1]),
        "embedding_backward": (x, (idx, c.vocab_size)),
        "softmax_cross_entropy": (logits, idx),
        "softmax_cross_entropy_backward": (1.0, ops.softmax_cross_entropy(logits, idx)[1]),
        "sgd_update": (p, g, m, 1e-6, 0.9),
        "adamw_update": (p, g, m, v, *settings),
        "adamw_rows_update": (*(x.reshape(-1, 1) for x in (p, g, m, v)), np.arange(n_params), *settings),
        "squared_norm": (g,),
        "nesterov": (matrix, momentum, 0.95, 1.0, np.empty_like(matrix)),
        "square_sums": (matrix, -1),
        "polynomial": (s, square, 0.1, 0.1, 0.1),
        "cautious_descent": (matrix, momentum, 1e-6, 0.1),
    }


def _gpt_arguments() -> dict[str, tuple[Any, ...]]:
    """Arguments of the operations of the nanochat GPT, in _GPT_SHAPES."""
    rng, draw = _draws()
    idx, real = rng.integers(0, 4096, (2, 128)), np.float32
    x, y, z, table = draw(2, 128, 256), draw(2, 128, 256), draw(2, 128, 256), draw(4096, 256)
    rstd, gate, heads, tables = draw(2, 128, 1), draw(2, 128, 2), (2, 128, 2, 128), (draw(128, 64), draw(128, 64))
    mixed = (x, y, real(1.1), real(0.2), rstd)
    scores = draw(4, 128, 128)
    wide = draw(2, 256, 1024)
    q, k, v = (draw(*heads).swapaxes(1, 2) for _ in range(3))
    return {
        "add_to": (draw(1024, 256), draw(1024, 256), 1.0),
        "relu_squared_again": ((draw(2, 128, 1024),),),
        "add_norm": (x, y),
        "add_norm_backward": (x, y, (z, rstd)),
        "mix_norm": mixed[:4],
        "mix_norm_again": (mixed,),
        "mix_norm_backward": (z, y, x, mixed),
        "embedding_norm": (table, idx),
        "add_embedding_backward": (table, x, idx),
        "gated_embedding": (x.reshape(heads), gate, table, idx),
        "gated_embedding_backward": (table, x.reshape(heads), (gate, table, idx), idx),
        "smear": (x, draw(1, 24), draw(1)),
        "smear_backward": (y, (x, draw(2, 127, 1), draw(1, 24), draw(1))),
        "rotary_norm": (x.reshape(heads), *tables, 1.2, 1e-7),
        "rotary_norm_backward": (y.reshape(heads), (x.reshape(heads), draw(2, 128, 2, 1), *tables, 1.2)),
        "causal_softmax": (scores, 0.1, 0, None),
        "causal_softmax_backward": (
            draw(4, 128, 128),
            draw(4, 128, 128),
            abs(draw(4, 128)),
            draw(4, 128),
            0.1,
            0,
            None,
        ),
        "blockwise_attention": (q, k, v),
        "blockwise_attention_backward": (q, blockwise_attention(q, k, v)[1]),
        "head_dots": tuple(a.reshape(heads).swapaxes(1, 2) for a in (x, y)),
        "capped_cross_entropy": (draw(128, 4096), idx[0], 15.0, draw(128)),
        "matrix_product": (draw(256, 256), draw(1024, 256).T, draw(256, 1024)),
        "panels_of": (draw(256, 1024),),
        "polar_express": (wide, POLAR_EXPRESS, 1e-6),
        "symmetric_stack_product": (wide, wide.swapaxes(1, 2), draw(2, 256, 256)),
        "stack_product": (draw(2, 256, 256), draw(2, 1024, 256).swapaxes(1, 2), draw(2, 256, 1024)),
    }
