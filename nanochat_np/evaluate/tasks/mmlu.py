"""MMLU: questions of 57 subjects with four answers.  Source: Hendrycks et al. 2021, arXiv:2009.03300."""

from pathlib import Path
from typing import Annotated

import msgspec

from nanochat_np.evaluate.tasks.choice import choice_prompt, is_the_letter
from nanochat_np.evaluate.tasks.task import ChatTask, Problem, read_problems

_LETTERS = ("A", "B", "C", "D")


class MmluRow(msgspec.Struct, frozen=True):
    """A row of cais/mmlu."""

    question: str
    choices: tuple[str, str, str, str]
    answer: Annotated[int, msgspec.Meta(ge=0, le=3)]
    subject: str = ""


def _problem(row: MmluRow) -> Problem:
    prompt = choice_prompt(row.question, _LETTERS, row.choices)
    return Problem(prompt=prompt, gold=_LETTERS[row.answer], letters=_LETTERS, group=row.subject)


def _items(folder: Path, most: int) -> list[Problem]:
    return read_problems(folder, "mmlu", MmluRow, _problem, most)


MMLU = ChatTask("mmlu", 0.25, _items, is_the_letter)
