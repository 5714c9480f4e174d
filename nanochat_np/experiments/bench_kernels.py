"""Each fused kernel of the CPU beside the reference it stands for."""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from nanochat_np import ops
from nanochat_np.backend.random import stream
from nanochat_np.experiments.timing import Work, repeated
from nanochat_np.kernels import TABLE, kernel, pays_on_cpu
from nanochat_np.nn.model import ModelConfig, architecture, parameter_count
from nanochat_np.optim import adamw, sgd

_MODULES = (ops, sgd, adamw)


class KernelCase(NamedTuple):
    """The reference and the kernel as work, and whether the kernel is what runs for these arguments."""

    reference: Work
    fused: Work
    used: bool


def kernel_cases(config: ModelConfig, batch: int) -> dict[str, KernelCase]:
    """A case for each operation of the table, named with its shapes.

    The shapes are those of a mini-gpt; in float32.
    """
    shapes = f"B{batch} T{config.block_size} C{config.n_embd}"
    arguments = _arguments(config, batch)
    found: dict[str, KernelCase] = {}
    for name in sorted(TABLE):
        fused = kernel(name)
        if fused is not None:  # Numba is there
            args = arguments[name]
            found[f"{name} {shapes}"] = KernelCase(
                repeated(_reference(name), *args), repeated(fused, *args), pays_on_cpu(name, *args)
            )
    return found


def _reference(name: str) -> Callable[..., Any]:
    """The operation without the dispatch in front of it."""
    operation: Any = next(getattr(module, name) for module in _MODULES if hasattr(module, name))
    reference: Callable[..., Any] = operation.__wrapped__
    return reference


def _arguments(c: ModelConfig, batch: int) -> dict[str, tuple[Any, ...]]:
    """Arguments of every operation of the table."""
    rng = stream(0, "bench")

    def draw(*shape: int) -> np.ndarray:
        return rng.standard_normal(shape, np.float32)

    idx = rng.integers(0, c.vocab_size, (batch, c.block_size))
    x, hidden = draw(batch, c.block_size, c.n_embd), draw(batch, c.block_size, 4 * c.n_embd)
    heads = [draw(batch, c.n_head, c.block_size, c.n_embd // c.n_head) for _ in range(4)]
    logits = draw(batch, c.block_size, c.vocab_size)
    n_params = parameter_count(architecture(c.kind).shapes(c))
    p, g, m, v = draw(n_params), draw(n_params), draw(n_params), np.abs(draw(n_params))
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
        "adamw_update": (p, g, m, v, 1e-6, 0.9, 0.99, 1e-8, 0.01, 1000),
    }
