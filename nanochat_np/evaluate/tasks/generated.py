"""The sets of conversations that are generated: their held-out questions, and the hard words that are never trained."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path

from nanochat_np.evaluate.tasks.task import Answer, ChatTask, Problem
from nanochat_np.tasks.counting import COUNTING, counted
from nanochat_np.tasks.generated import SETS
from nanochat_np.tasks.item import Item, TaskSet
from nanochat_np.tasks.spelling import SPELLING, spelled
from nanochat_np.tasks.word_lists import HARD_WORDS

ITEMS = 200  # where no number is asked for: the sets have no end


def _problems(items: Callable[[int], Sequence[Item]], _folder: Path, most: int) -> list[Problem]:
    return [
        Problem(prompt=item.question, gold=" ".join(part.text for part in item.answer), judged_by=item)
        for item in items(most)
    ]


def _task(name: str, task_set: TaskSet, items: Callable[[int], Sequence[Item]]) -> ChatTask:
    def judge(problem: Problem, answer: Answer) -> bool:
        return task_set.is_right(problem.judged_by, answer.spans)

    return ChatTask(name, 0.0, partial(_problems, items), judge)


def _held_out(task_set: TaskSet, most: int) -> list[Item]:
    return task_set.items("test", ITEMS if most < 0 else most)


def _hard(item: Callable[[str], Item], most: int) -> list[Item]:
    return [item(word) for word in (HARD_WORDS if most < 0 else HARD_WORDS[:most])]


def _most_frequent_letter(word: str) -> Item:
    return counted(word, max(word, key=word.count))


GENERATED_TASKS: Mapping[str, ChatTask] = {
    **{name: _task(name, one, partial(_held_out, one)) for name, one in SETS.items()},
    "hard-spelling": _task("hard-spelling", SPELLING, partial(_hard, spelled)),
    "hard-counting": _task("hard-counting", COUNTING, partial(_hard, _most_frequent_letter)),
}
