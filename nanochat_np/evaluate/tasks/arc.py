"""ARC: questions of science from school, with three to five answers.  Source: Clark et al. 2018, arXiv:1803.05457."""

from functools import partial
from pathlib import Path

import msgspec

from nanochat_np.evaluate.tasks.choice import choice_prompt, is_the_letter
from nanochat_np.evaluate.tasks.task import ChatTask, Problem, read_problems


class _Choices(msgspec.Struct, frozen=True):
    text: tuple[str, ...]
    label: tuple[str, ...]


class ArcRow(msgspec.Struct, frozen=True):
    """A row of allenai/ai2_arc."""

    question: str
    choices: _Choices
    answerKey: str

    def __post_init__(self) -> None:
        if len(self.choices.text) != len(self.choices.label):
            raise ValueError(f"{len(self.choices.text)} choices and {len(self.choices.label)} labels")
        if self.answerKey not in self.choices.label:
            raise ValueError(f"answerKey {self.answerKey!r} is none of its labels")


def _problem(row: ArcRow) -> Problem:
    letters = row.choices.label
    return Problem(prompt=choice_prompt(row.question, letters, row.choices.text), gold=row.answerKey, letters=letters)


def _items(name: str, folder: Path, most: int) -> list[Problem]:
    return read_problems(folder, name, ArcRow, _problem, most)


ARC_EASY = ChatTask("arc-easy", 0.25, partial(_items, "arc_easy"), is_the_letter)
ARC_CHALLENGE = ChatTask("arc-challenge", 0.25, partial(_items, "arc_challenge"), is_the_letter)
