"""Problems put to models whose answers are known."""

from pathlib import Path

import numpy as np
import pytest

from nanochat_np.evaluate import chat
from nanochat_np.evaluate.chat import ChatSettings, answer_of, run_task
from nanochat_np.evaluate.tasks import ChatTask, Problem
from nanochat_np.infer.answer import Span
from tests.evaluate.answering import TOKENIZER, Answering, Expecting, ids

NOWHERE = Path("nowhere")


def task(problems, judge=lambda problem, answer: answer.text == problem.gold, baseline=0.0):
    return ChatTask("a-task", baseline, lambda folder, most: problems, judge)


def asked(questions):
    return [Problem(prompt=question, gold=gold) for question, gold in questions.items()]


def test_what_is_written_is_judged():
    observed = []
    problems = asked({"1+1?": "2", "2+2?": "4", "3+3?": "6"})
    engine = Answering({"1+1?": "2", "2+2?": "five", "3+3?": "6"})
    found = run_task(
        task(problems), NOWHERE, engine, ChatSettings(), lambda item, total: observed.append((item, total))
    )
    assert (found.benchmark, found.metric, found.items, found.right, found.errors) == ("a-task", "accuracy", 3, 2, 0)
    assert found.score == pytest.approx(2 / 3)
    items = {item.number: item for item, total in observed}
    assert [items[n].outputs for n in range(3)] == [["2"], ["five"], ["6"]]
    assert [items[n].right for n in range(3)] == [True, False, True]
    assert (items[1].prompt, items[1].gold) == ("2+2?", "4")
    assert {total for _, total in observed} == {3}


def test_the_tool_answers_within():
    script = "so <|python_start|>12*34<|python_end|><|output_start|>999<|output_end|>!"
    seen = []

    def judge(problem, answer):
        seen.append(answer)
        return True

    run_task(task(asked({"q": ""}), judge), NOWHERE, Answering({"q": script}), ChatSettings())
    assert seen[0].text == script.replace("999", "408")
    assert seen[0].spans == [
        Span("text", "so "),
        Span("python", "12*34"),
        Span("python_output", "408"),
        Span("text", "!"),
    ]


def test_one_right_answer_of_several_is_enough(monkeypatch):
    """Each sample draws for itself."""
    observed = []
    engine = Answering({"q": "aaaaaaaa"})
    settings = ChatSettings(num_samples=4, temperature=2.0, top_k=0, max_new_tokens=3)
    monkeypatch.setattr(Answering, "_logits", lambda self, text: [0.0] * 97 + [9.0, 9.0] + [0.0] * 166)
    monkeypatch.setattr(chat, "steps", lambda engine, made: _as_arrays(engine, made))
    found = run_task(
        task(asked({"q": ""}), lambda problem, answer: answer.text[0] == "a"),
        NOWHERE,
        engine,
        settings,
        lambda item, total: observed.append(item),
    )
    assert len(set(observed[0].outputs)) > 1
    assert found.right == any(output[0] == "a" for output in observed[0].outputs)


def _as_arrays(engine, made):
    for generation in made:
        while not generation.end_if_due(99):
            generation.take(np.array(engine._logits(None)))
        yield [generation]


def test_an_answer_ends_where_it_must():
    observed = []
    run_task(
        task(asked({"q": "x"})),
        NOWHERE,
        Answering({"q": "x" * 40}),
        ChatSettings(max_new_tokens=5),
        lambda item, total: observed.append(item),
    )
    assert observed[0].outputs == ["xxxxx"]


def test_a_problem_without_room_counts_as_wrong():
    observed = []
    problems = asked({"x" * 300: "y", "short": "y"})
    found = run_task(
        task(problems), NOWHERE, Answering({"short": "y"}), ChatSettings(), lambda item, total: observed.append(item)
    )
    assert (found.items, found.right, found.errors) == (2, 1, 1)
    assert "tokens, this model takes at most 255" in observed[0].error
    assert observed[0].number == 0


@pytest.mark.parametrize("batch_size", [1, 2, 8])
def test_a_letter_is_the_most_expected_of_those_there_are(monkeypatch, batch_size):
    """Z would be likelier than any; the question decides between the others."""
    letters = ("A", "B", "C")
    expected = {"one<|user_end|><|assistant_start|>": "B", "two<|user_end|><|assistant_start|>": "Z"}
    monkeypatch.setattr(chat.Predictor, "of", lambda engine: Expecting(expected))
    problems = [Problem(prompt=q, gold="B", letters=letters, group=q) for q in ("one", "two", "x" * 300 + "one")]
    observed = []
    settings = ChatSettings(batch_size=batch_size)
    found = run_task(
        task(problems, baseline=0.25), NOWHERE, Answering({}), settings, lambda item, total: observed.append(item)
    )
    assert [item.outputs for item in observed] == [["B"], ["A"], ["B"]]
    assert (found.right, found.errors, found.baseline) == (2, 0, 0.25)
    assert found.parts["one"].centered == 1.0
    assert found.parts["two"].centered == pytest.approx(-1 / 3)


def test_an_answer_as_a_judge_reads_it():
    tokens = ids("a<|python_start|>1<|python_end|>é")
    assert answer_of(TOKENIZER, tokens).text == "a<|python_start|>1<|python_end|>é"
    assert [span.text for span in answer_of(TOKENIZER, tokens).spans] == ["a", "1", "é"]
