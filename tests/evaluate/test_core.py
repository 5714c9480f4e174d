"""CORE: how items become texts, what of them is scored, and the metric."""

import json

import pytest

from nanochat_np.errors import DataError
from nanochat_np.evaluate.core import core_metric
from nanochat_np.evaluate.core_bundle import CoreTask, LanguageModeling, MultipleChoice, Schema, read_bundle
from nanochat_np.evaluate.core_prompts import question, shots
from tests.evaluate.answering import TOKENIZER, Expecting


def task(items, shots=0, delimiter=" ", baseline=0.25):
    return CoreTask(label="t", shots=shots, delimiter=delimiter, baseline=baseline, items=items)


def texts_of(asked):
    return [TOKENIZER.decode(text[1:]) for text in asked.texts]


def scored_of(asked):
    return [TOKENIZER.decode(text[slice(*each)]) for text, each in zip(asked.texts, asked.scored, strict=True)]


CHOICE = MultipleChoice("Q: 1 + 1?", ("two", "twelve", "three"), 0)
SCHEMA = Schema(("The cat was", "The dog is"), "asleep.", 1)
WORDS = LanguageModeling("  Mary had a little ", "lamb")


def test_multiple_choice_is_scored_from_where_the_options_differ():
    asked = question(task([CHOICE], delimiter="\nA: "), 0, TOKENIZER)
    assert texts_of(asked) == ["Q: 1 + 1?\nA: two", "Q: 1 + 1?\nA: twelve", "Q: 1 + 1?\nA: three"]
    assert scored_of(asked) == ["wo", "welve", "hree"]
    assert all(text[0] == TOKENIZER.bos for text in asked.texts)


def test_a_schema_is_scored_where_the_options_have_become_one():
    asked = question(task([SCHEMA]), 0, TOKENIZER)
    assert texts_of(asked) == ["The cat was asleep.", "The dog is asleep."]
    assert scored_of(asked) == ["s asleep.", "s asleep."]


def test_language_modeling_is_scored_on_the_continuation():
    """The context is trimmed, and what stands before it in the prompt has no space at its end."""
    asked = question(task([WORDS]), 0, TOKENIZER)
    assert texts_of(asked) == ["Mary had a little lamb"]
    assert scored_of(asked) == [" lamb"]


def test_examples_stand_before_and_are_drawn_from_the_others():
    items = [MultipleChoice(f"Q{i}", (f"a{i}", f"b{i}"), i % 2) for i in range(6)]
    made = task(items, shots=2, delimiter="=")
    assert shots(made, 3) == [1, 4]  # random.Random(1234 + 3).sample([0, 1, 2, 4, 5], 2)
    assert texts_of(question(made, 3, TOKENIZER))[0] == "Q1=b1\n\nQ4=a4\n\nQ3=a3"
    for number in range(6):
        assert number not in shots(made, number)
    mixed = question(task([WORDS, LanguageModeling("x", "y")], shots=1), 1, TOKENIZER)
    assert texts_of(mixed) == ["Mary had a little lamb\n\nx y"]
    schemas = question(task([SCHEMA, SCHEMA], shots=1), 0, TOKENIZER)
    assert texts_of(schemas)[0] == "The dog is asleep.\n\nThe cat was asleep."


def test_a_continuation_that_melts_into_its_context_cannot_be_asked():
    with pytest.raises(DataError, match="not a beginning of its text"):
        question(task([LanguageModeling("x", "")], delimiter=""), 0, TOKENIZER)


def test_the_least_surprising_option_counts_by_its_mean():
    expecting = Expecting({"A: t": "w", "A: tw": "o"})
    assert core_metric(expecting, TOKENIZER, [task([CHOICE], delimiter="\nA: ")]).parts["t"].right == 1
    # "welve" has one expected token of five, "wo" one of two, "hree" none.
    observed = []
    wrong = MultipleChoice(CHOICE.query, CHOICE.choices, 1)
    core_metric(Expecting({"A: t": "w"}), TOKENIZER, [task([wrong], delimiter="\nA: ")], observed.append)
    assert (observed[0].outputs, observed[0].gold, observed[0].right) == (["0"], "1", False)
    assert json.loads(observed[0].prompt) == {"query": CHOICE.query, "choices": [*CHOICE.choices], "examples": []}


def test_a_long_option_has_no_disadvantage():
    """ "o" surprises once, "elve" once in four tokens."""
    item = MultipleChoice("Q: 6 + 6?", ("two", "twelve"), 1)
    found = core_metric(Expecting({"twe": "l", "twel": "v", "twelv": "e"}), TOKENIZER, [task([item])])
    assert found.parts["t"].accuracy == 1.0


def test_every_token_of_a_continuation_must_be_the_likeliest():
    whole = {" little": " ", "le ": "l", "le l": "a", "le la": "m", "le lam": "b"}
    found = core_metric(Expecting(whole), TOKENIZER, [task([WORDS], baseline=0.0)])
    assert (found.metric, found.parts["t"].accuracy) == (1.0, 1.0)
    found = core_metric(Expecting(whole | {"le la": "p"}), TOKENIZER, [task([WORDS], baseline=0.0)])
    assert found.metric == 0.0


def test_equal_options_give_the_first():
    same = MultipleChoice("Q", ("x", "x"), 0)
    assert core_metric(Expecting({}), TOKENIZER, [task([same])]).parts["t"].accuracy == 1.0
    twice = Schema(("a", "a"), "b", 1)
    assert core_metric(Expecting({}), TOKENIZER, [task([twice])]).parts["t"].accuracy == 0.0


def test_the_metric_is_the_mean_of_what_is_centered():
    good, bad = task([CHOICE]), task([MultipleChoice("Q", ("a", "b"), 1)], baseline=0.5)
    bad = CoreTask(label="u", shots=0, delimiter=" ", baseline=0.5, items=bad.items)
    found = core_metric(Expecting({"1? t": "w"}), TOKENIZER, [good, bad])
    assert {name: part.centered for name, part in found.parts.items()} == {"t": 1.0, "u": -1.0}
    assert found.metric == 0.0


def test_what_cannot_be_asked_counts_as_wrong():
    observed = []
    items = [LanguageModeling("x", "")]
    found = core_metric(Expecting({}), TOKENIZER, [task(items, delimiter="", baseline=0.0)], observed.append)
    assert (found.parts["t"].errors, found.metric) == (1, 0.0)
    assert "not a beginning" in observed[0].error


def bundle(folder, entries, rows, baselines="Eval Task,Random baseline\nt,25\n"):
    """A bundle as it is downloaded; YAML reads JSON."""
    (folder / "eval_data" / "d").mkdir(parents=True)
    (folder / "core.yaml").write_text(json.dumps({"icl_tasks": entries}))
    (folder / "eval_data" / "d" / "t.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (folder / "eval_meta_data.csv").write_text(baselines)
    return folder


ENTRY = {"label": "t", "dataset_uri": "d/t.jsonl", "num_fewshot": [1], "icl_task_type": "multiple_choice"}
ROWS = [{"query": f"Q{i}", "choices": ["a", "b"], "gold": i % 2, "more": 1} for i in range(10)]


def test_a_bundle_is_read_shuffled_and_cut(tmp_path):
    pytest.importorskip("yaml")
    found = read_bundle(bundle(tmp_path, [ENTRY], ROWS))[0]
    assert (found.label, found.shots, found.delimiter, found.baseline) == ("t", 1, " ", 0.25)
    # random.Random(1337).shuffle
    assert [item.query for item in found.items] == [f"Q{i}" for i in (0, 3, 7, 2, 1, 6, 4, 5, 8, 9)]
    assert [item.query for item in read_bundle(tmp_path, 3)[0].items] == ["Q0", "Q3", "Q7"]


@pytest.mark.parametrize(
    ("entry", "rows", "baselines", "reason"),
    [
        ({}, [*ROWS, {"query": "Q", "choices": ["a"], "gold": 1}], None, r"t\.jsonl: line 11: gold is 1, of 1 options"),
        ({}, [*ROWS, {"query": "Q"}], None, r"t\.jsonl: line 11: .*missing required field `choices`"),
        ({"num_fewshot": [10]}, ROWS, None, r"t\.jsonl: 10 examples before each item take more than 10"),
        ({"label": "u"}, ROWS, None, r"eval_meta_data\.csv: has no row for u"),
        ({"icl_task_type": "poem"}, ROWS, None, r"core\.yaml: Invalid enum value 'poem'"),
        ({"dataset_uri": "no.jsonl"}, ROWS, None, r"no\.jsonl: cannot be read"),
        ({}, ROWS, "Eval Task,Random baseline\nt,many\n", r"eval_meta_data\.csv: line 2: "),
    ],
)
def test_what_is_wrong_with_a_bundle_is_named(tmp_path, entry, rows, baselines, reason):
    pytest.importorskip("yaml")
    folder = bundle(tmp_path, [ENTRY | entry], rows, baselines or "Eval Task,Random baseline\nt,25\n")
    with pytest.raises(DataError, match=reason):
        read_bundle(folder)


def test_no_bundle_and_no_yaml(tmp_path, monkeypatch):
    with pytest.raises(DataError, match=r"has no core\.yaml: download https://.*/eval_bundle\.zip"):
        read_bundle(tmp_path)
    monkeypatch.setitem(__import__("sys").modules, "yaml", None)
    with pytest.raises(DataError, match=r"pip install 'nanochat-np\[eval\]'"):
        read_bundle(bundle(tmp_path, [ENTRY], ROWS))
    monkeypatch.undo()
    pytest.importorskip("yaml")
    (tmp_path / "core.yaml").write_text("a: [")
    with pytest.raises(DataError, match=r"core\.yaml: is no YAML"):
        read_bundle(tmp_path)
