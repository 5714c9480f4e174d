"""The benchmark of the character lab: what is measured, in which order, and what it comes to."""

import subprocess
import sys
from collections.abc import Callable

import msgspec
import numpy as np

from nanochat_np.backend.device import Device
from nanochat_np.experiments.bench_kernels import KernelCase, kernel_cases
from nanochat_np.experiments.bench_memory import MemoryFigure, measure_memory
from nanochat_np.experiments.bench_training import (
    LARGER_MINI_GPT,
    MINI_GPT,
    SCALAR_BIGRAM,
    SCALAR_MINI_GPT,
    Training,
    cases,
    python_steps,
    text_tokens,
)
from nanochat_np.experiments.timing import Work, in_turn, medians, repeated

PEER = "Rust peer, another 2-core machine, published figure"
PYTHON_BIGRAM = "bigram on Python objects, SGD"
MEMORY_STEPS = 10_000
_SECONDS, _KERNEL_SECONDS = 0.25, 0.01  # that a case is given at a time
_START_UP = {
    "python -c pass": ["-c", "pass"],
    "python -c 'import nanochat_np'": ["-c", "import nanochat_np"],
    "python -m nanochat_np --help": ["-m", "nanochat_np", "--help"],
}

Key = tuple[str, str]  # the part of the benchmark, and a name


class TrainingFigure(msgspec.Struct, frozen=True, kw_only=True):
    """Speed of a case.  ``compiled``: whether its first call compiled anything that was not kept from before.

    ``peer_seconds`` is the peer's step at its best and worst, ``times_faster`` compares with its best.
    """

    name: str
    seconds_per_step: float
    steps_per_sec: float
    tokens_per_sec: float
    nodes: int | None = None
    ns_per_node: float | None = None
    first_call_seconds: float | None = None
    compiled: bool = False
    peer_seconds: tuple[float, float] | None = None
    times_faster: float | None = None


class KernelFigure(msgspec.Struct, frozen=True):
    """An operation at the shapes of a mini-gpt (B windows, T positions, C channels).

    ``used``: whether the kernel is what runs there; elsewhere the reference does.
    """

    name: str
    shapes: str
    reference_seconds: float
    kernel_seconds: float
    times_faster: float
    used: bool


class LabFigures(msgspec.Struct, frozen=True, kw_only=True):
    """Medians of all that was measured, in seconds and bytes.

    ``python_over_tape``: how many times as long the bigram's step takes on Python objects.
    """

    training: list[TrainingFigure]
    python_over_tape: float | None
    kernels: list[KernelFigure]
    start_up: dict[str, float]
    memory: list[MemoryFigure]


def measure(device: Device, repeats: int, tick: Callable[[], None]) -> LabFigures:
    """Run the benchmark; ``tick`` is called after each of its ``repeats`` rounds.  On a GPU only steps are measured."""
    tokens = text_tokens()
    trainings = {case.name: Training(case, tokens, device) for case in cases(device)}
    works = {("step", name): (training.advance, _SECONDS) for name, training in trainings.items()}
    kernels = _kernels(trainings) if device.index is None else {}
    if device.index is None:
        works |= _cpu_works(trainings, tokens, kernels)
    rounds = []
    for seconds in in_turn(works, repeats):
        rounds.append(seconds)
        tick()
    median = medians(rounds)
    return LabFigures(
        training=[_training_figure(name, seconds, trainings.get(name)) for name, seconds in _of("step", median)],
        python_over_tape=_ratio(median, PYTHON_BIGRAM, SCALAR_BIGRAM),
        kernels=[_kernel_figure(name, case.used, median) for name, case in kernels.items()],
        start_up=dict(_of("start-up", median)),
        memory=[
            measure_memory(trainings[name].case, tokens, device, MEMORY_STEPS)
            for name in (MINI_GPT, SCALAR_MINI_GPT)
            if name in trainings
        ],
    )


def _kernels(trainings: dict[str, Training]) -> dict[str, KernelCase]:
    """Every kernel at the shapes of two models."""
    of_models = [
        kernel_cases(training.trainer.config, training.case.config.batch_size)
        for training in (trainings[MINI_GPT], trainings[LARGER_MINI_GPT])
    ]
    return {name: case for found in of_models for name, case in found.items()}


def _cpu_works(
    trainings: dict[str, Training], tokens: np.ndarray, kernels: dict[str, KernelCase]
) -> dict[Key, tuple[Work, float]]:
    """What is measured on the CPU besides training: Python objects, kernels, starting."""
    works: dict[Key, tuple[Work, float]] = {
        ("step", PYTHON_BIGRAM): (python_steps(trainings[SCALAR_BIGRAM].case, tokens), _SECONDS)
    }
    for name, case in kernels.items():
        works["reference", name] = case.reference, _KERNEL_SECONDS
        works["kernel", name] = case.fused, _KERNEL_SECONDS
    for name, arguments in _START_UP.items():
        works["start-up", name] = _process(arguments), 0.0
    return works


def _of(part: str, median: dict[Key, float]) -> list[tuple[str, float]]:
    return [(name, seconds) for (its_part, name), seconds in median.items() if its_part == part]


def _process(arguments: list[str]) -> Work:
    """A Python process from start to end."""
    return repeated(lambda: subprocess.run([sys.executable, *arguments], stdout=subprocess.DEVNULL, check=True))


def _ratio(median: dict[Key, float], one: str, other: str) -> float | None:
    return median["step", one] / median["step", other] if ("step", one) in median else None


def _training_figure(name: str, seconds: float, training: Training | None) -> TrainingFigure:
    """The figures of a case; of Python objects there is only the time."""
    rate = 1 / seconds
    if training is None:
        return TrainingFigure(name=name, seconds_per_step=seconds, steps_per_sec=rate, tokens_per_sec=rate)
    nodes, peer = training.nodes(), training.case.peer_seconds
    return TrainingFigure(
        name=name,
        seconds_per_step=seconds,
        steps_per_sec=rate,
        tokens_per_sec=rate * training.case.config.batch_size * training.trainer.config.block_size,
        nodes=nodes,
        ns_per_node=1e9 * seconds / nodes if nodes else None,
        first_call_seconds=training.first_call_seconds,
        compiled=training.compiled,
        peer_seconds=peer,
        times_faster=peer[0] / seconds if peer else None,
    )


def _kernel_figure(name: str, used: bool, median: dict[Key, float]) -> KernelFigure:
    operation, _, shapes = name.partition(" ")
    reference, fused = median["reference", name], median["kernel", name]
    return KernelFigure(operation, shapes, reference, fused, times_faster=reference / fused, used=used)
