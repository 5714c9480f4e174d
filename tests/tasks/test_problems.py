"""Problems one after another: from which set, judged by which rule, and going on where they stood."""

import json
from pathlib import Path

import pytest

from nanochat_np.errors import CheckpointError, ConfigError, DataError
from nanochat_np.tasks import generated
from nanochat_np.tasks.problems import open_problems


def written(folder: Path, count: int, name: str = "sums.jsonl") -> str:
    rows = [
        {"question": f"What is {n}+{n}?", "answer": f"<<{n}+{n}={2 * n}>>It is {2 * n}.\n#### {2 * n}"}
        for n in range(count)
    ]
    (folder / name).write_text("\n".join(map(json.dumps, rows)))
    return str(folder / name)


def opened(spec, *, fits=lambda conversation: True, notes=None):
    return open_problems(spec, 1, fits, [].append if notes is None else notes.append)


def spans(problem):
    """The right answer as the engine would tell it."""
    content = problem.conversation.messages[-1].content
    return [("text", content)] if isinstance(content, str) else [(part.type, part.text) for part in content]


@pytest.mark.parametrize("name", sorted(generated.SETS))
def test_right_answers_are_right(name):
    for problems in opened(name):
        found = problems.take(20)
        assert all(problem.is_right(spans(problem)) for problem in found)
        assert not any(problem.is_right([("text", "xyzzy")]) for problem in found)
        assert problems.length == 0


def test_a_file_is_judged_by_its_numbers(tmp_path):
    problems, held_out = opened(written(tmp_path, 40))
    assert (problems.length, held_out.length) == (38, 2)
    trained, tested = ({str(p.conversation) for p in some.take(80)} for some in (problems, held_out))
    assert (len(trained), len(tested)) == (38, 2)
    assert not trained & tested
    problem = problems.take(1)[0]
    assert problem.is_right(spans(problem))
    assert problem.is_right([spans(problem)[-1]]), "the number alone counts"
    assert not problem.is_right([("text", "#### 1")])
    assert problems.epoch == 3


def test_shares(tmp_path):
    problems, _ = opened(f"arithmetic:2,{written(tmp_path, 40)}")
    problems.take(30)
    assert problems.counts == [20, 10]
    assert problems.length == 0
    assert opened(f"{written(tmp_path, 40)}:3,{written(tmp_path, 20, 'b.jsonl')}")[0].length == 19 * 4


def test_they_go_on_where_they_stood(tmp_path):
    spec = f"arithmetic,{written(tmp_path, 10)}"
    whole, parts = opened(spec)[0], opened(spec)[0]
    expected = [problem.conversation for problem in whole.take(31)]
    parts.take(17)
    state = json.loads(json.dumps(parts.state()))
    again = opened(spec)[0].restored(state)
    assert [problem.conversation for problem in again.take(14)] == expected[17:]
    written(tmp_path, 12)
    with pytest.raises(DataError, match=r"had arithmetic, .*sums.jsonl \(9 problems\) when .* has .*\(11 problems\)"):
        opened(spec)[0].restored(state)
    with pytest.raises(CheckpointError, match="damaged"):
        again.restored({"counts": "x"})


def test_what_does_not_fit_is_left_out(tmp_path):
    path, notes = written(tmp_path, 40), []
    problems, held_out = opened(path, fits=lambda one: "What is 3" not in one.messages[0].content, notes=notes)
    assert (problems.length, held_out.length) == (27, 2)
    assert notes == [f"{path}: 11 of 38 problems are longer than the context"]
    for spec in (path, "arithmetic"):
        with pytest.raises(ConfigError, match="no problem of it fits into the context"):
            opened(spec, fits=lambda one: False)


def test_what_cannot_be_judged(tmp_path):
    with pytest.raises(ConfigError, match="several answers: name sets of spelling"):
        opened("generated")
    (tmp_path / "chats.jsonl").write_text(
        '{"question": "Hi?", "answer": "#### 1"}\n{"question": "You?", "answer": "me"}'
    )
    with pytest.raises(DataError, match=r"the answer to 'You\?' does not end in '#### NUMBER'"):
        opened(str(tmp_path / "chats.jsonl"))
    with pytest.raises(DataError, match="did you mean arithmetic"):
        opened("arithmetics")
