"""Where metrics go besides metrics.jsonl: TensorBoard, Weights & Biases, Trackio.  Each is an extra to install."""

import contextlib
import importlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from nanochat_np.config import Sink
from nanochat_np.errors import ConfigError

PROJECT = "nanochat-np"
_MODULES = {"tensorboard": "tensorboardX", "wandb": "wandb", "trackio": "trackio"}
_GROUPS = {"step": "train", "eval": "val", "core": "core", "tasks": "tasks"}  # of the names at a sink, by event
Write = Callable[[int, dict[str, float]], None]


def require_sinks(sinks: tuple[Sink, ...]) -> None:
    """Raise ConfigError for a sink whose library is not there."""
    for sink in sinks:
        _module(sink)


@contextlib.contextmanager
def open_sinks(
    sinks: tuple[Sink, ...], folder: Path, name: str, settings: dict[str, Any], note: Callable[[str], None]
) -> Iterator[Callable[[dict[str, Any]], None]]:
    """A function that takes events and writes their numbers to every sink as ``train/loss``, ``val/val_bpb``, ...

    A sink that fails is named through ``note`` and left out from then on: no service ends a training run.
    """
    with contextlib.ExitStack() as stack:
        writers: dict[str, Write] = {sink: stack.enter_context(_open(sink, folder, name, settings)) for sink in sinks}

        def write(event: dict[str, Any]) -> None:
            numbers = numbers_of(event)
            for sink in list(writers) if numbers else ():
                try:
                    writers[sink](event["step"], numbers)
                except Exception as error:
                    note(f"{sink} takes no more metrics: {error}")
                    del writers[sink]

        yield write


def numbers_of(event: dict[str, Any]) -> dict[str, float]:
    """The numbers of an event under their names at a sink."""
    group = _GROUPS.get(event["event"])
    if group is None:
        return {}
    return {f"{group}/{key}": float(value) for key, value in event.items() if key != "step" and _is_number(value)}


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _module(sink: Sink) -> Any:
    try:
        return importlib.import_module(_MODULES[sink])
    except ImportError:
        raise ConfigError(f"--sinks {sink}: not installed: pip install {_MODULES[sink]}") from None


@contextlib.contextmanager
def _open(sink: Sink, folder: Path, name: str, settings: dict[str, Any]) -> Iterator[Write]:
    module = _module(sink)
    if sink == "tensorboard":
        with contextlib.closing(module.SummaryWriter(str(folder / "tensorboard"))) as writer:

            def add(step: int, numbers: dict[str, float]) -> None:
                for key, value in numbers.items():
                    writer.add_scalar(key, value, step)

            yield add
        return
    place = {"dir": str(folder)} if sink == "wandb" else {}
    run = module.init(project=PROJECT, name=name, config=settings, **place)
    try:
        yield lambda step, numbers: run.log(numbers, step=step)
    finally:
        run.finish()
