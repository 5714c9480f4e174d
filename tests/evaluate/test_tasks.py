"""The tasks' own definitions: prompts, what is right, and the order of problems."""

import json

import pytest

from nanochat_np.errors import DataError, RunError
from nanochat_np.evaluate.tasks import CHAT_TASKS, Answer, Problem, humaneval
from nanochat_np.execute import strongest_layer
from nanochat_np.tasks.gsm8k import final_number

ARC = {"id": "x", "question": "Why?", "choices": {"text": ["sun", "moon", "sky"], "label": ["1", "2", "3"]}}
MMLU = {"question": "Who?", "subject": "history", "choices": ["w", "x", "y", "z"], "answer": 2}
GSM = {"question": "How many?", "answer": "It is 2*500=<<2*500=1000>>1000 of 3.\n#### 1,000"}
EVAL = {
    "task_id": "HumanEval/0",
    "prompt": 'from typing import List\n# a remark\nimport math\n\ndef twice(x: int) -> int:\n    """Two of x."""\n',
    "canonical_solution": "    return 2 * x\n",
    "test": "def check(candidate):\n    assert candidate(4) == 8\n",
    "entry_point": "twice",
}


def written(folder, name, rows):
    (folder / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return folder


def only(task, folder, name, row):
    (problem,) = CHAT_TASKS[task].items(written(folder, name, [row]), -1)
    return problem


@pytest.mark.parametrize("task", ["arc-easy", "arc-challenge"])
def test_arc(tmp_path, task):
    found = only(task, tmp_path, task.replace("-", "_"), ARC | {"answerKey": "2"})
    assert found.prompt == (
        "Multiple Choice question: Why?\n- sun=1\n- moon=2\n- sky=3\n\n"
        "Respond only with the letter of the correct answer."
    )
    assert (found.gold, found.letters) == ("2", ("1", "2", "3"))
    judge = CHAT_TASKS[task].judge
    assert (judge(found, Answer("2")), judge(found, Answer("1"))) == (True, False)


def test_mmlu(tmp_path):
    found = only("mmlu", tmp_path, "mmlu", MMLU)
    assert found.prompt.startswith("Multiple Choice question: Who?\n- w=A\n- x=B\n- y=C\n- z=D\n\n")
    assert (found.gold, found.letters, found.group) == ("C", ("A", "B", "C", "D"), "history")


def test_gsm8k(tmp_path):
    found = only("gsm8k", tmp_path, "gsm8k", GSM)
    assert (found.prompt, found.gold, found.letters) == ("How many?", "1000", ())
    judge = CHAT_TASKS["gsm8k"].judge
    answers = {"so #### 1000": True, "#### 1,000 and #### 7": True, "#### 7 #### 1000": False, "1000": False}
    assert {text: judge(found, Answer(text)) for text in answers} == answers


def test_the_solution_of_gsm8k_ends_with_its_result(tmp_path):
    found = only("gsm8k", tmp_path, "gsm8k", GSM | {"answer": "#### 5 or <<1+1=2>>2\n#### 9"})
    assert found.gold == "9"


@pytest.mark.parametrize(
    ("text", "result"), [("#### -3.5", "-3.5"), ("####5", None), ("#### x", None), ("#### $5", None), ("#### 2.", "2.")]
)
def test_results_are_read_as_upstream_reads_them(text, result):
    assert final_number(text) == result


@pytest.mark.parametrize(
    ("name", "row", "reason"),
    [
        ("arc_easy", ARC | {"answerKey": "4"}, "answerKey '4' is none of its labels"),
        (
            "arc_easy",
            ARC | {"answerKey": "1", "choices": {"text": ["a"], "label": ["1", "2"]}},
            "1 choices and 2 labels",
        ),
        ("mmlu", MMLU | {"answer": 4}, "Expected `int` <= 3"),
        ("mmlu", MMLU | {"choices": ["a", "b"]}, "Expected `array` of length 4"),
        ("gsm8k", GSM | {"answer": "1000"}, "does not end with #### and a number"),
        ("gsm8k", {"question": "?"}, "missing required field `answer`"),
    ],
)
def test_a_bad_row_is_named(tmp_path, name, row, reason):
    with pytest.raises(DataError, match=rf"{name}\.jsonl: line 1: .*{reason}"):
        CHAT_TASKS[name.replace("_", "-")].items(written(tmp_path, name, [row]), -1)


def test_problems_come_in_upstreams_order_and_the_first_of_it(tmp_path):
    written(tmp_path, "gsm8k", [GSM | {"question": str(i)} for i in range(6)])
    order = [problem.prompt for problem in CHAT_TASKS["gsm8k"].items(tmp_path, -1)]
    assert order == ["3", "2", "5", "4", "1", "0"]  # numpy.random.default_rng(42).permutation(6)
    assert [problem.prompt for problem in CHAT_TASKS["gsm8k"].items(tmp_path, 2)] == ["3", "2"]


def test_a_program_of_humaneval(tmp_path):
    found = only("humaneval", tmp_path, "HumanEval", EVAL)
    assert found.prompt == EVAL["prompt"]
    answer = "Here:\n```python\ndef twice(x):\n    return x + x\n```\nor\n```\nno\n```"
    assert humaneval.program(found, answer) == (
        "from typing import List\nimport math\n\ndef twice(x):\n    return x + x\n\n"
        "def check(candidate):\n    assert candidate(4) == 8\n\ncheck(twice)"
    )
    assert "\n\ndef twice(x): pass\n\n" in humaneval.program(found, "  def twice(x): pass  \n")


@pytest.mark.skipif(strongest_layer() is None, reason="nothing keeps a child apart")
@pytest.mark.parametrize(("body", "right"), [("return 2 * x", True), ("return x * x", False), ("return (", False)])
def test_humaneval_runs_it(tmp_path, monkeypatch, body, right):
    monkeypatch.setattr("nanochat_np.execute.execution.strongest_layer", lambda: "limits")  # the quickest
    found = Problem(prompt="", gold="", judged_by=(EVAL["test"], "twice"))
    assert CHAT_TASKS["humaneval"].judge(found, Answer(f"def twice(x):\n    {body}")) == right


def test_humaneval_wants_to_be_kept_apart(monkeypatch):
    monkeypatch.setattr(humaneval, "strongest_layer", lambda: "limits")
    with pytest.raises(RunError, match="--unsafe-code"):
        humaneval.require_enclosure(unsafe=False)
    humaneval.require_enclosure(unsafe=True)
    monkeypatch.setattr(humaneval, "strongest_layer", lambda: "namespaces")
    humaneval.require_enclosure(unsafe=False)


def test_baselines_are_what_guessing_scores():
    assert {name: task.baseline for name, task in CHAT_TASKS.items()} == {
        "arc-easy": 0.25,
        "arc-challenge": 0.25,
        "mmlu": 0.25,
        "gsm8k": 0.0,
        "humaneval": 0.0,
    }
