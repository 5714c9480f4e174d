"""Training over a recorded graph: any number of optimizer steps in one call of compiled code."""

import math

import numpy as np
from numpy.typing import ArrayLike

from nanochat_np.backend.arrays import Array
from nanochat_np.backend.jit import njit
from nanochat_np.kernels.optimizers import adamw_update, clip_scale, sgd_update
from nanochat_np.optim.optimizer import Optimizer
from nanochat_np.scalar import rules
from nanochat_np.scalar.recording import checked_inputs
from nanochat_np.scalar.tape import Floats, Tape


class ScalarProgram:
    """A loss as a function of parameters and a window of token ids, taken from a tape.

    The first ``n_params`` nodes of the tape are the parameters, leaves in one flat order; ``loss`` is a node.
    What is recorded on the tape later does not matter.
    """

    def __init__(self, tape: Tape, n_params: int, loss: int) -> None:
        recording = tape.recording
        if n_params and not (recording.runs and recording.codes[0] == rules.LEAF and n_params <= recording.ends[0]):
            raise ValueError(f"the first {n_params} nodes of the tape must be leaves: record the parameters first")
        recording.check(loss)
        self.n_params, self.loss = n_params, int(loss)
        self.graph = rules.Graph(*map(np.copy, recording.graph()))
        self._limits = recording.input_limits()
        self._values = recording.values[: recording.size].copy()
        self._grads = np.zeros(recording.size)

    def loss_and_gradient(self, params: ArrayLike, window: ArrayLike) -> tuple[float, Floats]:
        """Loss of one window and its gradient.   params (P,), window (slots,) integer; returns (), (P,) float64."""
        inputs = checked_inputs(window, 1, self._limits)
        self._values[: self.n_params] = params
        rules.forward(self.graph, self._values, inputs, 0, 0)
        rules.backward(self.graph, self._values, inputs, self._grads, 0, self.loss, 1.0)
        return float(self._values[self.loss]), self._grads[: self.n_params].copy()

    def steps(
        self, params: Floats, windows: ArrayLike, lrs: ArrayLike, optimizer: Optimizer, first_step: int = 1
    ) -> tuple[Floats, Floats]:
        """K optimizer steps, each on the mean loss of B windows.

        params (P,) float64, contiguous, written; windows (K, B, slots) integer; lrs (K,); the state in ``optimizer``
        is written.  ``first_step`` counts from 1 over the whole training (bias correction of AdamW).
        Returns (losses, grad_norms), (K,) float64: the mean loss before each update, and the global norm of its
        gradient before clipping.
        """
        for array in (params, optimizer.m, optimizer.v)[: 3 if optimizer.is_adamw else 2]:
            if array.shape != (self.n_params,) or array.dtype != np.float64 or not array.flags.carray:
                raise ValueError(f"params and optimizer state must be contiguous float64 of shape ({self.n_params},)")
        inputs = checked_inputs(windows, 3, self._limits)
        rates = np.array(lrs, np.float64)
        if inputs.shape[1] == 0 or rates.shape != inputs.shape[:1]:
            raise ValueError(f"windows must be (K, B, slots) and lrs (K,), not {inputs.shape} and {rates.shape}")
        nodes = self.graph, self.loss, self._values, self._grads
        losses, grad_norms = _train(*nodes, params, inputs, rates, optimizer, first_step)
        return losses, grad_norms


@njit(cache=True, error_model="numpy")
def _train(
    graph: rules.Graph,
    loss: int,
    values: Array,
    grads: Array,
    params: Array,
    windows: Array,
    lrs: Array,
    optimizer: Optimizer,
    first_step: int,
) -> tuple[Array, Array]:
    n_steps, batch = windows.shape[:2]
    size = params.size
    losses, grad_norms = np.zeros(n_steps), np.zeros(n_steps)
    p, g = values[:size], grads[:size]
    p[:] = params
    for k in range(n_steps):
        g[:] = 0.0
        for b in range(batch):
            rules.forward(graph, values, windows[k, b], 0, 0)
            rules.backward(graph, values, windows[k, b], grads, size, loss, 1.0 / batch)
            losses[k] += values[loss] / batch
        grad_norms[k] = math.sqrt(_sum_of_squares(g))
        g *= clip_scale(grad_norms[k], optimizer.grad_clip)
        _update(p, g, lrs[k], optimizer, first_step + k)
    params[:] = p
    return losses, grad_norms


@njit(cache=True, fastmath={"reassoc"})
def _sum_of_squares(x: Array) -> float:
    """Σ x²; free to sum in vector lanes, always in the same ones."""
    total = 0.0
    for value in x:
        total += value * value
    return total


@njit(cache=True)
def _update(p: Array, g: Array, lr: float, optimizer: Optimizer, step: int) -> None:
    o = optimizer
    if o.is_adamw:
        adamw_update(p, g, o.m, o.v, lr, o.beta1, o.beta2, o.eps, o.weight_decay, step)
    else:
        sgd_update(p, g, o.m, lr, o.momentum)
