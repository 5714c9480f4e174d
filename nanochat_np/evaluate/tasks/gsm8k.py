"""GSM8K: word problems whose solutions call a calculator.  Source: Cobbe et al. 2021, arXiv:2110.14168."""

from pathlib import Path

import msgspec

from nanochat_np.evaluate.tasks.task import Answer, ChatTask, Problem, read_problems
from nanochat_np.tasks.gsm8k import final_number


def _gold(solution: str) -> str | None:
    """The result of a solution, which stands after its last call of the calculator, << >>."""
    return final_number(solution.rpartition(">>")[2])


class GsmRow(msgspec.Struct, frozen=True):
    """A row of openai/gsm8k."""

    question: str
    answer: str

    def __post_init__(self) -> None:
        if _gold(self.answer) is None:
            raise ValueError("answer does not end with #### and a number")


def _problem(row: GsmRow) -> Problem:
    return Problem(prompt=row.question, gold=_gold(row.answer) or "")


def _items(folder: Path, most: int) -> list[Problem]:
    return read_problems(folder, "gsm8k", GsmRow, _problem, most)


def _judge(problem: Problem, answer: Answer) -> bool:
    return final_number(answer.text) == problem.gold


GSM8K = ChatTask("gsm8k", 0.0, _items, _judge)
