"""Which rule updates which parameter of the nanochat GPT: Muon for the matrices of its layers, AdamW for all else.

Source: karpathy/nanochat at 92d63d4, gpt.py (setup_optimizer) and optim.py.
"""

from collections import defaultdict

import msgspec
import numpy as np

from nanochat_np.backend.arrays import Array, array_module
from nanochat_np.nn.model import Weights
from nanochat_np.optim.muon import muon_update, second_moment_shape

MUON_BETA2 = 0.9
ADAM_EPS = 1e-10
_TUNED_AT_WIDTH = 768  # of the AdamW rates; they go with 1/√width
_SMEAR_LR = 0.2


class Rates(msgspec.Struct, frozen=True, kw_only=True):
    """Peak learning rates, and Muon's weight decay."""

    embedding: float = 0.3
    unembedding: float = 0.008
    matrix: float = 0.02
    scalar: float = 0.5
    weight_decay: float = 0.28


class AdamGroup(msgspec.Struct, frozen=True):
    """Parameters that share AdamW's settings."""

    names: tuple[str, ...]
    lr: float
    beta1: float
    beta2: float
    weight_decay: float


class MuonGroup(msgspec.Struct, frozen=True):
    """Matrices of one shape, which are updated as one stack."""

    names: tuple[str, ...]
    shape: tuple[int, ...]
    lr: float
    weight_decay: float


def adam_groups(names: list[str], width: int, rates: Rates) -> list[AdamGroup]:
    """The AdamW groups of a model of this ``width``, in upstream's order; groups without members are left out."""
    a = (width / _TUNED_AT_WIDTH) ** -0.5
    value_embeddings = [name for name in names if name.startswith("value_embeds.")]
    smear = ["smear_gate.weight", "smear_lambda", "backout_lambda"]
    table = [
        (["lm_head.weight"], rates.unembedding * a, 0.8, 0.96, 0.01),
        (["transformer.wte.weight"], rates.embedding * a, 0.8, 0.995, 0.001),
        (value_embeddings, rates.embedding * a * 0.5, 0.8, 0.995, 0.01),
        (["resid_lambdas"], rates.scalar * 0.01, 0.8, 0.95, 0.05),
        (["x0_lambdas"], rates.scalar, 0.96, 0.95, 0.0),
        (smear, _SMEAR_LR, 0.8, 0.95, 0.0),
    ]
    present = [(tuple(name for name in members if name in names), *settings) for members, *settings in table]
    return [AdamGroup(*group) for group in present if group[0]]


def muon_groups(shapes: dict[str, tuple[int, ...]], rates: Rates) -> list[MuonGroup]:
    """One group for each shape among the layers' matrices, shapes in order."""
    by_shape: dict[tuple[int, ...], list[str]] = defaultdict(list)
    for name, shape in shapes.items():
        if name.startswith("transformer.h."):
            by_shape[shape].append(name)
    return [MuonGroup(tuple(by_shape[s]), s, rates.matrix, rates.weight_decay) for s in sorted(by_shape)]


class MuonAdamW:
    """Both rules over a dict of parameters, changed in place.  State is in the parameters' precision."""

    def __init__(self, parameters: Weights, width: int, rates: Rates) -> None:
        self._p = parameters
        shapes = {name: tuple(p.shape) for name, p in parameters.items()}
        self.adam, self.muon = adam_groups(list(parameters), width, rates), muon_groups(shapes, rates)
        self.steps = 0
        self.state: dict[str, Array] = {}
        for group in self.adam:
            for name in group.names:
                zeros = array_module(parameters[name]).zeros_like
                self.state |= {f"m.{name}": zeros(parameters[name]), f"v.{name}": zeros(parameters[name])}
        for stack in self.muon:
            first = parameters[stack.names[0]]
            zeros, count = array_module(first).zeros, len(stack.names)
            self.state[f"momentum.{_key(stack)}"] = zeros((count, *stack.shape), first.dtype)
            self.state[f"second.{_key(stack)}"] = zeros((count, *second_moment_shape(*stack.shape)), first.dtype)

    def step(self, grads: Weights, lr_multiplier: float, momentum: float, decay_multiplier: float) -> None:
        """One update.  ``lr_multiplier`` scales every rate, ``decay_multiplier`` Muon's weight decay."""
        self.steps += 1
        for group in self.adam:
            for name in group.names:
                self._adam(group, name, grads[name], group.lr * lr_multiplier)
        for stack in self.muon:
            xp = array_module(self._p[stack.names[0]])
            p = xp.stack([self._p[name] for name in stack.names])
            muon_update(
                p,
                xp.stack([grads[name] for name in stack.names]),
                self.state[f"momentum.{_key(stack)}"],
                self.state[f"second.{_key(stack)}"],
                stack.lr * lr_multiplier,
                momentum,
                MUON_BETA2,
                stack.weight_decay * decay_multiplier,
            )
            for name, value in zip(stack.names, p, strict=True):
                self._p[name][...] = value

    def _adam(self, group: AdamGroup, name: str, g: Array, lr: float) -> None:
        """p = p(1 − lr·λ);  m, v running means of g, g²;  p = p − lr/(1−β₁ᵗ) · m / (√(v/(1−β₂ᵗ)) + ε)."""
        p, m, v = self._p[name], self.state[f"m.{name}"], self.state[f"v.{name}"]
        xp, real, t = array_module(p), p.dtype.type, self.steps
        p *= real(1 - lr * group.weight_decay)
        m += real(1 - group.beta1) * (g - m)
        v += real(1 - group.beta2) * (g * g - v)
        root = xp.sqrt(v / real(1 - group.beta2**t)) + real(ADAM_EPS)
        p -= real(lr / (1 - group.beta1**t)) * (m / root)


def _key(stack: MuonGroup) -> str:
    return "x".join(map(str, stack.shape))


def muon_momentum(step: int, total: int, warmdown_ratio: float) -> float:
    """Muon's momentum at ``step`` (from 0): 0.85 → 0.97 over 400 steps, and 0.97 → 0.90 over the warmdown."""
    warmdown = round(warmdown_ratio * total)
    if step < 400:
        return float(np.interp(step, (0, 400), (0.85, 0.97)))
    if step >= total - warmdown:
        return float(np.interp(step, (total - warmdown, total), (0.97, 0.90)))
    return 0.97


def decay_multiplier(step: int, total: int) -> float:
    """Share of Muon's weight decay at ``step``: a half cosine from 1 to 0."""
    return 0.5 * (1 + float(np.cos(np.pi * step / total)))
