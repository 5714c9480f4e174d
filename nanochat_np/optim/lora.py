"""LoRA: weights that learn a change of low rank.  Source: Hu et al. 2021, arXiv:2106.09685.

W = W₀ + s B A of a matrix (O, I), with B (O, R), A (R, I) and s = alpha / R.  The model holds W itself, so that its
forward, its backward and its files are those of any other: a step takes s B A out of W, moves B and A, and puts the new
product in.  W₀ is kept nowhere.  Each step rounds W twice, as any other rule does once.
"""

from collections.abc import Iterable

import msgspec
import numpy as np

from nanochat_np.backend.arrays import Array, array_module
from nanochat_np.backend.products import products_in
from nanochat_np.backend.random import stream
from nanochat_np.nn.model import Shapes, Weights
from nanochat_np.ops.low_rank import add_low_rank, low_rank_backward
from nanochat_np.optim.groups import AdamGroup, GroupOptimizer

MATRICES = ("attn.c_q", "attn.c_k", "attn.c_v", "attn.c_proj", "mlp.c_fc", "mlp.c_proj")
_BETA1, _BETA2 = 0.9, 0.999


class Adapter(msgspec.Struct, frozen=True, kw_only=True):
    """What learns and how: ``names`` of weights, the ``seed`` of A, and AdamW's peak rate."""

    names: tuple[str, ...]
    rank: int
    alpha: float
    lr: float
    seed: int

    @property
    def scale(self) -> float:
        return self.alpha / self.rank


def trained_count(adapter: Adapter, shapes: Shapes) -> int:
    """Numbers in the factors."""
    return adapter.rank * sum(sum(shapes[name]) for name in adapter.names)


def state_count(adapter: Adapter, shapes: Shapes) -> int:
    """Numbers in the state of `LoRA`: factors and two moments of each."""
    return 3 * trained_count(adapter, shapes)


def matrices(names: Iterable[str], on: Iterable[str]) -> tuple[str, ...]:
    """Those of the weights ``names`` that ``on`` asks for: some of MATRICES, or attn or mlp for all that begin so."""
    parts = {part for part in MATRICES if {part, part.split(".")[0]} & set(on)}
    return tuple(name for name in names if _part(name) in parts)


class LoRA(GroupOptimizer):
    """AdamW of the factors of some ``weights``, which change with them in place; all others stay as they are.

    The state has the factors besides their moments.  Weight decay is none, and there is nothing that Muon would be for.
    """

    def __init__(self, weights: Weights, adapter: Adapter) -> None:
        """B is 0, so that the weights are at first what they were; A is N(0, 1 / I)."""
        self._weights, self._adapter = weights, adapter
        rng, factors = stream(adapter.seed, "lora"), {}
        for name in adapter.names:
            w, (rows, columns) = weights[name], weights[name].shape
            a = rng.standard_normal((adapter.rank, columns)) / np.sqrt(columns)
            factors[f"a.{name}"] = array_module(w).asarray(a, w.dtype)
            factors[f"b.{name}"] = array_module(w).zeros((rows, adapter.rank), w.dtype)
        super().__init__(factors, [AdamGroup(tuple(factors), adapter.lr, _BETA1, _BETA2, 0.0)], [])
        self.state |= factors

    def gradient(self, grads: Weights) -> Weights:
        """That of the factors, from that of the weights: dB = s dW Aᵀ,  dA = s Bᵀ dW."""
        found: Weights = {}
        with products_in("float32"):
            for name in self._adapter.names:
                db, da = low_rank_backward(grads[name], (*self._factors(name), self._adapter.scale))
                found |= {f"a.{name}": da, f"b.{name}": db}
        return found

    def step(
        self,
        grads: Weights,
        lr_multiplier: float,
        momentum: float,
        decay_multiplier: float,
        grad_scale: float = 1.0,
        tokens: Array | None = None,
    ) -> None:
        """One update by ``grad_scale`` · ``grads``, those of the factors.  Momentum, decay and tokens mean nothing."""
        self._add(-self._adapter.scale)
        super().step(grads, lr_multiplier, momentum, decay_multiplier, grad_scale)
        self._add(self._adapter.scale)

    def _add(self, scale: float) -> None:
        with products_in("float32"):  # a small step of a factor would be lost in bfloat16
            for name in self._adapter.names:
                add_low_rank(self._weights[name], *self._factors(name), scale)

    def _factors(self, name: str) -> tuple[Array, Array]:
        return self._p[f"b.{name}"], self._p[f"a.{name}"]


def _part(name: str) -> str:
    """ "attn.c_q" of "transformer.h.0.attn.c_q.weight"."""
    return ".".join(name.split(".")[3:5])
