"""What a task for a chat model is."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import msgspec
import numpy as np

from nanochat_np.evaluate.rows import find_rows, read_rows
from nanochat_np.infer.answer import Span

_SHUFFLE_SEED = 42

Row = TypeVar("Row")


class Problem(msgspec.Struct, frozen=True, kw_only=True):
    """What the user asks, and what would be right.

    ``letters`` are the answers to choose from, where it is a choice; ``group`` a name under which results are told
    apart; ``judged_by`` whatever else the task's judge needs.
    """

    prompt: str
    gold: str
    letters: tuple[str, ...] = ()
    group: str = ""
    judged_by: Any = None


class Answer(NamedTuple):
    """``text`` with control tokens by name, and the same in parts without them: text, calls of the tool, its answers.

    Of a problem with letters it is the letter.
    """

    text: str
    spans: Sequence[Span] = ()


@dataclass(frozen=True)
class ChatTask:
    """``items`` takes the folder of data and how many problems to give at most (-1: all): the first of one order.

    ``judge`` says whether an answer to one of its problems is right; ``baseline`` is what guessing scores.
    """

    name: str
    baseline: float
    items: Callable[[Path, int], Sequence[Problem]]
    judge: Callable[[Problem, Answer], bool]


def read_problems(
    folder: Path, name: str, kind: type[Row], problem: Callable[[Row], Problem], most: int
) -> list[Problem]:
    """The rows of a benchmark's files as problems, in upstream's order, the first ``most`` of them (-1: all)."""
    rows = [row for path in find_rows(folder, name) for row in read_rows(path, kind)]
    order = np.random.default_rng(_SHUFFLE_SEED).permutation(len(rows))
    return [problem(rows[number]) for number in (order if most < 0 else order[:most])]
