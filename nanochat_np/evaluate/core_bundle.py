"""The bundle of the CORE metric: a list of tasks, their data, and what guessing scores in each.

Source: Li et al. 2024, arXiv:2406.11794 (DCLM); the files are those of karpathy/nanochat's eval_bundle.zip.
"""

import csv
import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import msgspec

from nanochat_np.data.files import readable
from nanochat_np.errors import DataError
from nanochat_np.evaluate.rows import read_rows

URL = "https://karpathy-public.s3.us-west-2.amazonaws.com/eval_bundle.zip"
LIST, DATA, BASELINES = "core.yaml", "eval_data", "eval_meta_data.csv"
_SHUFFLE_SEED = 1337


class MultipleChoice(msgspec.Struct, frozen=True):
    """A question, and answers of which number ``gold`` is right."""

    query: str
    choices: tuple[str, ...]
    gold: int

    def __post_init__(self) -> None:
        _require_index(self.gold, self.choices)


class Schema(msgspec.Struct, frozen=True):
    """Beginnings, of which number ``gold`` makes sense before the continuation."""

    context_options: tuple[str, ...]
    continuation: str
    gold: int

    def __post_init__(self) -> None:
        _require_index(self.gold, self.context_options)


class LanguageModeling(msgspec.Struct, frozen=True):
    """A beginning, and what follows it, word for word."""

    context: str
    continuation: str


CoreItem = MultipleChoice | Schema | LanguageModeling
_KINDS: dict[str, type[Any]] = {
    "multiple_choice": MultipleChoice,
    "schema": Schema,
    "language_modeling": LanguageModeling,
}


class CoreTask(msgspec.Struct, frozen=True, kw_only=True):
    """``shots`` examples stand before each item; ``baseline`` is the accuracy of guessing, from 0 to 1."""

    label: str
    shots: int
    delimiter: str
    baseline: float
    items: Sequence[CoreItem]


class _Entry(msgspec.Struct):
    label: str
    dataset_uri: str
    num_fewshot: list[int]
    icl_task_type: Literal["multiple_choice", "schema", "language_modeling"]
    continuation_delimiter: str = " "


class _List(msgspec.Struct):
    icl_tasks: list[_Entry]


def read_bundle(folder: Path, max_per_task: int = -1) -> list[CoreTask]:
    """The tasks of a bundle, the items of each shuffled as upstream does it and cut to ``max_per_task`` (-1: all).

    The data lie in ``folder``/eval_data, or beside core.yaml.  Raises DataError that names the file and its fault.
    """
    if not (folder / LIST).exists():
        raise DataError(f"{folder}: has no {LIST}: download {URL} and unpack its eval_bundle there")
    entries, baselines = _entries(folder / LIST), _baselines(folder / BASELINES)
    data = folder / DATA if (folder / DATA).is_dir() else folder
    tasks = []
    for entry in entries:
        if entry.label not in baselines:
            raise DataError(f"{folder / BASELINES}: has no row for {entry.label}, which {LIST} names")
        items = read_rows(data / entry.dataset_uri, _KINDS[entry.icl_task_type])
        random.Random(_SHUFFLE_SEED).shuffle(items)
        items = items[:max_per_task] if max_per_task > 0 else items
        shots = entry.num_fewshot[0] if entry.num_fewshot else 0
        if shots >= len(items):
            raise DataError(
                f"{data / entry.dataset_uri}: {shots} examples before each item take more than {len(items)}"
            )
        tasks.append(
            CoreTask(
                label=entry.label,
                shots=shots,
                delimiter=entry.continuation_delimiter,
                baseline=baselines[entry.label],
                items=items,
            )
        )
    return tasks


def _entries(path: Path) -> list[_Entry]:
    try:
        import yaml
    except ImportError:
        raise DataError(f"{path} needs PyYAML, which is not installed: pip install 'nanochat-np[eval]'") from None
    with readable(path):
        text = path.read_bytes()
    try:
        return msgspec.convert(yaml.safe_load(text), _List).icl_tasks
    except yaml.YAMLError as error:
        raise DataError(f"{path}: is no YAML ({' '.join(str(error).split())})") from None
    except msgspec.ValidationError as error:
        raise DataError(f"{path}: {error}") from None


def _baselines(path: Path) -> dict[str, float]:
    """The percentage of each task, as a share."""
    with readable(path), open(path, encoding="utf-8", newline="") as file:
        found = {}
        for number, row in enumerate(csv.DictReader(file), 2):
            try:
                found[row["Eval Task"]] = 0.01 * float(row["Random baseline"])
            except (KeyError, TypeError, ValueError):
                raise DataError(f"{path}: line {number}: needs an Eval Task and a number as Random baseline") from None
    return found


def _require_index(gold: int, options: Sequence[str]) -> None:
    if not 0 <= gold < len(options):
        raise ValueError(f"gold is {gold}, of {len(options)} options")
