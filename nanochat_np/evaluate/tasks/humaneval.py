"""HumanEval: a function to write, and tests that it has to pass.  Source: Chen et al. 2021, arXiv:2107.03374."""

import itertools
import re
from pathlib import Path

import msgspec

from nanochat_np.errors import RunError
from nanochat_np.evaluate.tasks.task import Answer, ChatTask, Problem, read_problems
from nanochat_np.execute import execute_code, strongest_layer

_BLOCK = re.compile(r"```(?:python)?\s*\n(.*?)\n```", re.DOTALL)


class HumanEvalRow(msgspec.Struct, frozen=True):
    """A row of openai/openai_humaneval."""

    prompt: str
    canonical_solution: str
    test: str
    entry_point: str


def _problem(row: HumanEvalRow) -> Problem:
    return Problem(prompt=row.prompt, gold=row.canonical_solution, judged_by=(row.test, row.entry_point))


def _items(folder: Path, most: int) -> list[Problem]:
    return read_problems(folder, "humaneval", HumanEvalRow, _problem, most)


def require_enclosure(unsafe: bool) -> None:
    """Raise RunError where nothing would keep generated code from the user's files, unless that is accepted."""
    if not unsafe and strongest_layer() == "limits":
        raise RunError(
            "runs code that the model writes, and nothing here keeps it from your files and the network: "
            "install bubblewrap, or accept that with --unsafe-code"
        )


def program(problem: Problem, text: str) -> str:
    """The imports that the prompt begins with, the code of an answer, the tests, and their call."""
    test, entry_point = problem.judged_by
    return f"{_imports(problem.prompt)}\n\n{_code(text)}\n\n{test}\ncheck({entry_point})"


def _imports(prompt: str) -> str:
    lines = (line.strip() for line in prompt.split("\n"))
    beginning = itertools.takewhile(lambda line: not line or line.startswith(("import ", "from ", "#")), lines)
    return "\n".join(line for line in beginning if line.startswith(("import ", "from ")))


def _code(text: str) -> str:
    """The first fenced block, or all of it."""
    block = _BLOCK.search(text)
    return (block[1] if block else text).strip()


def _judge(problem: Problem, answer: Answer) -> bool:
    return execute_code(program(problem, answer.text)).success


HUMANEVAL = ChatTask("humaneval", 0.0, _items, _judge)
