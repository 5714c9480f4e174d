"""The benchmarks by name, and one of them on one model."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import msgspec
import numpy as np

from nanochat_np.errors import ConfigError, NanochatError
from nanochat_np.evaluate.chat import ChatSettings, run_task
from nanochat_np.evaluate.core import core_metric
from nanochat_np.evaluate.core_bundle import read_bundle
from nanochat_np.evaluate.items import Item
from nanochat_np.evaluate.predictor import Predictor
from nanochat_np.evaluate.result import Result, centered
from nanochat_np.evaluate.tasks import CHAT_TASKS, GENERATED_TASKS
from nanochat_np.evaluate.tasks.humaneval import require_enclosure
from nanochat_np.evaluate.text_loss import validate_text
from nanochat_np.infer.gpt_engine import GPTEngine

CORE_FOLDER = "core"
OF_CHATCORE = tuple(CHAT_TASKS)

Observe = Callable[[Item | None, int, int], None]  # an item's record where there is one, how many are done, of how many


@dataclass(frozen=True)
class Subject:
    """A model that is evaluated.  ``trained_on`` is the data that its settings name, if any."""

    label: str
    source: str
    step: int
    engine: GPTEngine
    trained_on: str | None


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """``folder`` holds the benchmarks' files; ``data`` is the text for bits per byte (default: what was trained on)."""

    folder: Path
    chat: ChatSettings
    data: str | None
    text_field: str
    eval_tokens: int
    unsafe_code: bool


def run_benchmark(
    name: str, subject: Subject, settings: Settings, before: Mapping[str, Result], observe: Observe
) -> Result:
    """What a benchmark says; a Result that tells why where it cannot be run.  ``before`` has the results so far."""
    begin = time.perf_counter()
    try:
        found = _run(name, subject, settings, before, observe)
    except Exception as error:  # whatever it is, it must not cost the others their results
        found = Result(benchmark=name, metric=METRICS[name], failed=_reason(error))
    return msgspec.structs.replace(found, seconds=time.perf_counter() - begin)


def _reason(error: Exception) -> str:
    told = " ".join(str(error).split())
    return told if isinstance(error, NanochatError) else f"{type(error).__name__}: {told}"


METRICS = {
    "core": "mean centered accuracy",
    **dict.fromkeys(CHAT_TASKS, "accuracy"),
    "chatcore": "mean centered accuracy",
    "bpb": "bits per byte",
    **dict.fromkeys(GENERATED_TASKS, "accuracy"),
}


def _run(name: str, subject: Subject, settings: Settings, before: Mapping[str, Result], observe: Observe) -> Result:
    match name:
        case "core":
            return _core(subject, settings, observe)
        case "chatcore":
            return chatcore(before)
        case "bpb":
            return _bits_per_byte(subject, settings, observe)
        case "humaneval":
            require_enclosure(settings.unsafe_code)
    done = _counted(observe)
    return run_task({**CHAT_TASKS, **GENERATED_TASKS}[name], settings.folder, subject.engine, settings.chat, done)


def _counted(observe: Observe) -> Callable[[Item, int], None]:
    done = 0

    def observed(item: Item, total: int) -> None:
        nonlocal done
        done += 1
        observe(item, done, total)

    return observed


def _core(subject: Subject, settings: Settings, observe: Observe) -> Result:
    tasks = read_bundle(settings.folder / CORE_FOLDER, settings.chat.max_problems)
    total, counted = sum(len(task.items) for task in tasks), _counted(observe)
    found = core_metric(
        Predictor.of(subject.engine), subject.engine.tokenizer, tasks, lambda item: counted(item, total)
    )
    return Result(
        benchmark="core",
        metric=METRICS["core"],
        score=found.metric,
        items=total,
        right=sum(part.right for part in found.parts.values()),
        errors=sum(part.errors for part in found.parts.values()),
        parts=found.parts,
    )


def chatcore(results: Mapping[str, Result]) -> Result:
    """The mean of the centered accuracies of OF_CHATCORE.  Raises ConfigError where one of them failed."""
    failed = [name for name in OF_CHATCORE if results[name].failed is not None]
    if failed:
        raise ConfigError(f"is the mean of {', '.join(OF_CHATCORE)}, and {', '.join(failed)} failed")
    scores = [centered(results[name].score or 0.0, results[name].baseline) for name in OF_CHATCORE]
    return Result(
        benchmark="chatcore",
        metric=METRICS["chatcore"],
        score=float(np.mean(scores)),
        details=dict(zip(OF_CHATCORE, scores, strict=True)),
    )


def _bits_per_byte(subject: Subject, settings: Settings, observe: Observe) -> Result:
    data = settings.data or subject.trained_on
    if data is None:
        raise ConfigError("needs a text: name it with --data")
    found = validate_text(
        Predictor.of(subject.engine),
        subject.engine.tokenizer,
        data,
        settings.text_field,
        settings.eval_tokens,
        settings.chat.batch_size,
        lambda done, total: observe(None, done, total),
    )
    return Result(
        benchmark="bpb",
        metric=METRICS["bpb"],
        score=found.bpb,
        items=found.tokens,
        details={"loss": found.loss, "tokens": found.tokens},
    )
