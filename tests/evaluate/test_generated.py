"""The generated sets as benchmarks: held-out questions, and answers judged by their spans."""

from pathlib import Path

import pytest

from nanochat_np.data import corpus
from nanochat_np.evaluate.tasks import GENERATED_TASKS, Answer
from nanochat_np.infer.answer import Span
from nanochat_np.tasks import words
from nanochat_np.tasks.generated import SETS
from nanochat_np.tasks.word_lists import HARD_WORDS


@pytest.fixture(autouse=True)
def _few_words(monkeypatch):
    """From a text that is made in no time."""
    monkeypatch.setattr(words, "load_corpus", lambda name: corpus.load_corpus("stories"))
    words.english.cache_clear()
    yield
    words.english.cache_clear()


def spans(item):
    return [Span(part.type, part.text) for part in item.answer]


@pytest.mark.parametrize("name", GENERATED_TASKS)
def test_the_answer_of_an_item_is_right_and_another_is_not(name):
    task = GENERATED_TASKS[name]
    problems = task.items(Path(), 5)
    assert len(problems) == 5
    for problem in problems:
        answer = spans(problem.judged_by)
        assert task.judge(problem, Answer("", answer))
        assert not task.judge(problem, Answer("", [*answer[:-1], Span("text", "No: x 123456")]))
        assert not task.judge(problem, Answer("", []))


def test_how_many_and_which():
    for name, one in SETS.items():
        assert [p.judged_by for p in GENERATED_TASKS[name].items(Path(), 3)] == one.items("test", 3)
    assert len(GENERATED_TASKS["spelling"].items(Path(), -1)) == 200
    hard = GENERATED_TASKS["hard-counting"].items(Path(), -1)
    assert [word in problem.prompt for word, problem in zip(HARD_WORDS, hard, strict=True)] == [True] * len(HARD_WORDS)
    assert GENERATED_TASKS["hard-counting"].items(Path(), 1)[0].gold.startswith("' s t r a w b e r r y'.count('r') 3")
