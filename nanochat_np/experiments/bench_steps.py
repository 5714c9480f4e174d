"""Whole training steps of the GPT on random tokens, each in its three parts."""

import math
import statistics
import time
from collections.abc import Callable, Iterator
from typing import Any

import msgspec
import numpy as np

from nanochat_np.backend import environment
from nanochat_np.backend.arrays import Array
from nanochat_np.backend.device import Device
from nanochat_np.backend.random import stream
from nanochat_np.experiments.bench_model import SEED
from nanochat_np.nn import gpt
from nanochat_np.nn.gpt_config import GPTConfig, flops_per_token
from nanochat_np.nn.gpt_gradient import GPTGradient
from nanochat_np.optim.groups import MuonAdamW, Rates

WARM_UP = 2  # the first step compiles or loads kernels, the second still fills pools
_MOMENTUM = 0.95


class StepTimes(msgspec.Struct, frozen=True):
    """Milliseconds of the parts of a step, or their medians.

    ``forward`` includes setting the gradient to 0, and the gradient of the head, which is made with its loss.
    """

    forward: float
    backward: float
    optimizer: float

    @property
    def whole(self) -> float:
        return self.forward + self.backward + self.optimizer


class StepFigures(msgspec.Struct, frozen=True, kw_only=True):
    """What steps of so many tokens come to.  ``mfu`` is None where the peak is not known."""

    tokens_per_sec: float
    fwd_bwd_tokens_per_sec: float
    ms: StepTimes
    gemm_peak_gflops: float | None
    mfu: float | None


def step_times(
    weights: dict[str, Array], model: GPTConfig, batch_size: int, steps: int, device: Device, recompute: bool
) -> Iterator[StepTimes]:
    """Take WARM_UP steps and then ``steps``; yields the times of each one.  The tokens are drawn between steps."""
    largest = max(math.prod(values.shape) for values in weights.values())
    environment.use_blas_threads_for(2.0 * batch_size * model.sequence_len * largest)  # as training does
    optimizer = MuonAdamW(weights, model.n_embd, Rates())
    gradient = GPTGradient(weights, batch_size * model.sequence_len)
    rng = stream(SEED, "batches")
    for _ in range(WARM_UP + steps):
        rows = rng.integers(0, model.vocab_size, (batch_size, model.sequence_len + 1), dtype="int32")
        idx, targets = rows[:, :-1], rows[:, 1:]

        def forward(idx: np.ndarray = idx, targets: np.ndarray = targets) -> Any:
            gradient.clear([idx])
            given = device.array(idx), device.array(targets), gradient.arrays
            return gpt.forward(weights, model, *given, recompute=recompute)[1]

        def backward(cache: Any, idx: np.ndarray = idx) -> None:
            gpt.backward(cache, gradient.arrays, device.array(gradient.places(idx)))

        def update() -> None:
            optimizer.step(gradient.arrays, 1.0, _MOMENTUM, 1.0, tokens=gradient.tokens)

        cache, forward_ms = _timed(device, forward)
        _, backward_ms = _timed(device, backward, cache)
        del cache  # or it would be held beside that of the next step
        _, optimizer_ms = _timed(device, update)
        yield StepTimes(forward_ms, backward_ms, optimizer_ms)


def _timed(device: Device, function: Callable[..., Any], *args: Any) -> tuple[Any, float]:
    """The result and the milliseconds until all work was done."""
    device.synchronize()
    begin = time.perf_counter()
    result = function(*args)
    device.synchronize()
    return result, 1e3 * (time.perf_counter() - begin)


def figures(times: list[StepTimes], model: GPTConfig, batch_size: int, peak_flops: float | None) -> StepFigures:
    """Medians over steps.  ``peak_flops`` is what the device does a second at best."""
    parts = (statistics.median(getattr(each, name) for each in times) for name in StepTimes.__struct_fields__)
    ms = StepTimes(*parts)
    tokens = batch_size * model.sequence_len
    rate = 1e3 * tokens / statistics.median(each.whole for each in times)
    return StepFigures(
        tokens_per_sec=rate,
        fwd_bwd_tokens_per_sec=1e3 * tokens / statistics.median(each.forward + each.backward for each in times),
        ms=ms,
        gemm_peak_gflops=peak_flops and peak_flops / 1e9,
        mfu=peak_flops and flops_per_token(model) * rate / peak_flops,
    )
