"""The matrix products of a training step, at their shapes, and a square one that tells what the machine can do."""

import importlib
from collections.abc import Callable
from typing import NamedTuple

from nanochat_np import kernels
from nanochat_np.backend.arrays import Array
from nanochat_np.backend.device import Device
from nanochat_np.backend.products import array_dtype, products_in
from nanochat_np.backend.random import stream
from nanochat_np.experiments.bench_model import SEED
from nanochat_np.experiments.timing import Work, repeated
from nanochat_np.ops.matmul import matmul

KINDS = ("forward", "dX", "dW")
SQUARE, SQUARE_SIZE = "square", 1024


class Layer(NamedTuple):
    """y (N, O) = x (N, I) wᵀ: each of its three products takes 2·N·I·O operations."""

    name: str
    rows: int
    inputs: int
    outputs: int

    @property
    def operations(self) -> int:
        return 2 * self.rows * self.inputs * self.outputs


def layers(n_embd: int, vocab_size: int, tokens: int) -> list[Layer]:
    """The linear layers of a step of so many ``tokens``, and the square product."""
    return [
        Layer("attention", tokens, n_embd, n_embd),
        Layer("MLP, up", tokens, n_embd, 4 * n_embd),
        Layer("MLP, down", tokens, 4 * n_embd, n_embd),
        Layer("head", tokens, n_embd, vocab_size),
        Layer(SQUARE, SQUARE_SIZE, SQUARE_SIZE, SQUARE_SIZE),
    ]


def dtypes(device: Device) -> tuple[str, ...]:
    """Precisions that products are measured in; see `backend.products` for bfloat16."""
    return ("float32", "float64") if device.index is not None else ("float32", "bfloat16", "float64")


def tile_ceilings(device: Device) -> dict[str, float]:
    """By precision what our products cannot exceed, in 10⁹ operations a second; empty where they are not ours."""
    if device.index is not None or not kernels.in_use():
        return {}
    ceiling = importlib.import_module("nanochat_np.kernels.ceiling")
    return {dtype: ceiling.in_cache_gflops(dtype) for dtype in ("float32", "bfloat16")}


def product_works(layer: Layer, dtype: str, device: Device) -> dict[str, Work]:
    """The products by kind, as a model takes them: x wᵀ, dy w and dyᵀ x; of the square one the first alone."""
    x, w, dy = (
        device.array(stream(SEED, name).standard_normal(shape), array_dtype(dtype))
        for name, shape in (
            ("init", (layer.rows, layer.inputs)),
            ("batches", (layer.outputs, layer.inputs)),
            ("sampling", (layer.rows, layer.outputs)),
        )
    )
    operands: dict[str, tuple[Array, Array]] = {"forward": (x, w.T), "dX": (dy, w), "dW": (dy.T, x)}
    kinds = KINDS[:1] if layer.name == SQUARE else KINDS
    return {kind: repeated(_product(*operands[kind], dtype, device)) for kind in kinds}


def _product(a: Array, b: Array, dtype: str, device: Device) -> Callable[[], None]:
    """Into one array that is used over and over, as a step that plans its memory does."""
    result = device.xp.empty((a.shape[0], b.shape[1]), a.dtype)

    def multiply() -> None:
        with products_in(dtype):
            matmul(a, b, out=result)
        device.synchronize()

    return multiply
