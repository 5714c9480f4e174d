"""Which rule updates which parameter of the nanochat GPT: Muon for the matrices of its layers, AdamW for all else.

Source: karpathy/nanochat at 92d63d4, gpt.py (setup_optimizer) and optim.py.  AdamW for the layers too is ours.
"""

from collections import defaultdict
from collections.abc import Mapping

import msgspec
import numpy as np
from msgspec import structs

from nanochat_np.backend.arrays import Array, array_module, to_numpy
from nanochat_np.errors import CheckpointError
from nanochat_np.nn.gpt_gradient import is_embedding
from nanochat_np.nn.model import Weights
from nanochat_np.optim.adamw import adamw_rows_update, adamw_update
from nanochat_np.optim.muon import muon_update, second_moment_shape

MUON_MATRIX_LR, ADAMW_MATRIX_LR = 0.02, 0.003
MUON_BETA2 = 0.9
ADAM_EPS = 1e-10
_TUNED_AT_WIDTH = 768  # of the AdamW rates; they go with 1/√width
_SMEAR_LR = 0.2


class Rates(msgspec.Struct, frozen=True, kw_only=True):
    """Peak learning rates, and the weight decay of the layers' matrices.

    ``matrix`` None is MUON_MATRIX_LR or ADAMW_MATRIX_LR, by the rule that these matrices have.
    """

    embedding: float = 0.3
    unembedding: float = 0.008
    matrix: float | None = None
    scalar: float = 0.5
    weight_decay: float = 0.28


class AdamGroup(msgspec.Struct, frozen=True):
    """Parameters that share AdamW's settings."""

    names: tuple[str, ...]
    lr: float
    beta1: float
    beta2: float
    weight_decay: float
    decay_ends: bool = False  # whether the decay goes to 0 over the training, as Muon's does


class MuonGroup(msgspec.Struct, frozen=True):
    """Matrices of one shape; their momenta and mean squares are stacks."""

    names: tuple[str, ...]
    shape: tuple[int, ...]
    lr: float
    weight_decay: float

    @property
    def state_names(self) -> tuple[str, str]:
        """Of the momenta, (K, m, n), and of the running mean squares, (K, m, 1) or (K, 1, n)."""
        key = "x".join(map(str, self.shape))
        return f"momentum.{key}", f"second.{key}"


def adam_groups(names: list[str], width: int, rates: Rates, matrices: bool = False) -> list[AdamGroup]:
    """The AdamW groups of a model of this ``width``, in upstream's order; groups without members are left out.

    ``matrices``: those of the layers make one more group.
    """
    a = (width / _TUNED_AT_WIDTH) ** -0.5
    value_embeddings = tuple(name for name in names if name.startswith("value_embeds."))
    of_layers = tuple(filter(_in_a_layer, names)) if matrices else ()
    smear = "smear_gate.weight", "smear_lambda", "backout_lambda"
    matrix_lr = ADAMW_MATRIX_LR if rates.matrix is None else rates.matrix
    table = [
        AdamGroup(("lm_head.weight",), rates.unembedding * a, 0.8, 0.96, 0.01),
        AdamGroup(("transformer.wte.weight",), rates.embedding * a, 0.8, 0.995, 0.001),
        AdamGroup(value_embeddings, rates.embedding * a * 0.5, 0.8, 0.995, 0.01),
        AdamGroup(("resid_lambdas",), rates.scalar * 0.01, 0.8, 0.95, 0.05),
        AdamGroup(("x0_lambdas",), rates.scalar, 0.96, 0.95, 0.0),
        AdamGroup(smear, _SMEAR_LR, 0.8, 0.95, 0.0),
        AdamGroup(of_layers, matrix_lr * a, 0.8, 0.95, rates.weight_decay, decay_ends=True),
    ]
    present = [tuple(name for name in group.names if name in names) for group in table]
    return [structs.replace(group, names=own) for group, own in zip(table, present, strict=True) if own]


def muon_groups(shapes: dict[str, tuple[int, ...]], rates: Rates) -> list[MuonGroup]:
    """One group for each shape among the layers' matrices, shapes in order."""
    by_shape: dict[tuple[int, ...], list[str]] = defaultdict(list)
    for name in filter(_in_a_layer, shapes):
        by_shape[shapes[name]].append(name)
    lr = MUON_MATRIX_LR if rates.matrix is None else rates.matrix
    return [MuonGroup(tuple(by_shape[s]), s, lr, rates.weight_decay) for s in sorted(by_shape)]


def _in_a_layer(name: str) -> bool:
    return name.startswith("transformer.h.")


class GroupOptimizer:
    """The rules of groups, over a dict of contiguous parameters, changed in place.

    State is in the parameters' precision; parameters of no group stay as they are.
    """

    def __init__(self, parameters: Weights, adam: list[AdamGroup], muon: list[MuonGroup]) -> None:
        self._p, self.adam, self.muon = parameters, adam, muon
        self.steps = 0
        self.state: dict[str, Array] = {}
        for group in self.adam:
            for name in group.names:
                zeros = array_module(parameters[name]).zeros_like
                self.state |= {f"m.{name}": zeros(parameters[name]), f"v.{name}": zeros(parameters[name])}
        for stack in self.muon:
            first = parameters[stack.names[0]]
            zeros, count = array_module(first).zeros, len(stack.names)
            for name, shape in zip(stack.state_names, (stack.shape, second_moment_shape(*stack.shape)), strict=True):
                self.state[name] = zeros((count, *shape), first.dtype)

    def gradient(self, grads: Weights) -> Weights:
        """The gradient that `step` takes, from that of the model's weights."""
        return grads

    def step(
        self,
        grads: Weights,
        lr_multiplier: float,
        momentum: float,
        decay_multiplier: float,
        grad_scale: float = 1.0,
        tokens: Array | None = None,
    ) -> None:
        """One update by ``grad_scale`` · ``grads``, which are only read.

        ``lr_multiplier`` scales every rate, ``decay_multiplier`` the weight decay of the layers' matrices; ``tokens``
        are those whose rows the gradients of embeddings have, if not all: see `GPTGradient`.
        """
        self.steps += 1
        for group in self.adam:
            decay = group.weight_decay * (decay_multiplier if group.decay_ends else 1.0)
            settings = group.lr * lr_multiplier, group.beta1, group.beta2, ADAM_EPS, decay, self.steps, grad_scale
            for name in group.names:
                p, g, m, v = self._p[name], grads[name], self.state[f"m.{name}"], self.state[f"v.{name}"]
                if tokens is not None and is_embedding(name):
                    adamw_rows_update(p, g, m, v, tokens, *settings)
                else:
                    adamw_update(p, g, m, v, *settings)
        for stack in self.muon:
            decay = stack.weight_decay * decay_multiplier
            p, g = ([arrays[name] for name in stack.names] for arrays in (self._p, grads))
            momenta, seconds = (self.state[name] for name in stack.state_names)
            lr = stack.lr * lr_multiplier
            muon_update(p, g, momenta, seconds, lr, momentum, MUON_BETA2, decay, grad_scale)

    def state_arrays(self) -> dict[str, np.ndarray]:
        """The state for a checkpoint, by name: the arrays themselves on the CPU, copies from a GPU."""
        return {name: to_numpy(array) for name, array in self.state.items()}

    def load_state(self, state: Mapping[str, np.ndarray], steps: int) -> None:
        """Go on after ``steps`` steps from a copy of ``state``.

        Raises CheckpointError, with nothing changed, where an array is missing, unknown, or of another shape or dtype.
        """
        for name in sorted(self.state.keys() ^ state.keys()):
            problem = "missing" if name in self.state else "not one that this model has"
            raise CheckpointError(f"optimizer state {name}: {problem}: resume with the model and optimizer of the run")
        for name, array in self.state.items():
            found, expected = (f"{x.dtype} {tuple(x.shape)}" for x in (state[name], array))
            if found != expected:
                raise CheckpointError(f"optimizer state {name}: {found} where this model has {expected}")
        for name, array in self.state.items():
            array[...] = array_module(array).asarray(state[name])
        self.steps = steps


class MuonAdamW(GroupOptimizer):
    """Training of all weights."""

    def __init__(self, parameters: Weights, width: int, rates: Rates, muon: bool = True) -> None:
        """``muon`` False: AdamW for all parameters."""
        shapes = {name: tuple(p.shape) for name, p in parameters.items()}
        adam = adam_groups(list(parameters), width, rates, matrices=not muon)
        super().__init__(parameters, adam, muon_groups(shapes, rates) if muon else [])


def lr_multiplier(step: int, total: int, warmup_steps: int, warmdown_ratio: float, final_lr_frac: float) -> float:
    """Share of every rate at ``step`` (from 0): up to 1 over the warmup, and to ``final_lr_frac`` over the warmdown.

    Where the two overlap it is the warmup's, so that a short run with a long warmup ends at its top.
    """
    warmdown = round(warmdown_ratio * total)
    if step < warmup_steps:
        return (step + 1) / warmup_steps
    if step <= total - warmdown:
        return 1.0
    left = (total - step) / warmdown
    return left + (1 - left) * final_lr_frac


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
