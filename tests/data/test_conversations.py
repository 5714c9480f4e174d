"""Conversations from JSONL and parquet: every shape, and what is refused."""

import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from nanochat_np.data.conversations import calculations, read_conversations
from nanochat_np.errors import DataError
from nanochat_np.text.conversation import Message, Part

HI = [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Hello!"}]
GSM8K = "He pays 3*4=<<3*4=12>>12, so x=<<12=12=0>>0.\n#### 0"
ROWS = (
    HI,
    {"messages": HI, "id": 7},
    {"instruction": "Hi", "response": "Hello!"},
    {"instruction": "Hi", "input": "", "response": "Hello!"},
    {"prompt": "Hi", "completion": "Hello!"},
    {"question": "Hi", "answer": "Hello!"},
)


@pytest.fixture
def file(tmp_path):
    def write(*lines, name="talk.jsonl"):
        path = tmp_path / name
        path.write_text("\n".join(line if isinstance(line, str) else json.dumps(line) for line in lines))
        return path

    return write


def refusal(path):
    with pytest.raises(DataError) as caught:
        read_conversations(path)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_every_shape_says_the_same(file):
    found = read_conversations(file("\ufeff" + json.dumps(ROWS[0]), "", *ROWS[1:], "  "))
    assert [one.messages for one in found] == [(Message("user", "Hi"), Message("assistant", "Hello!"))] * len(ROWS)


def test_an_input_follows_its_instruction(file):
    (found,) = read_conversations(file({"instruction": "Add", "input": "1 2", "response": "3"}))
    assert found.messages[0].content == "Add\n\n1 2"


def test_a_solution_with_calculations(file):
    (found,) = read_conversations(file({"question": "How much?", "answer": GSM8K}))
    assert found.messages[1].content == (
        Part("text", "He pays 3*4="),
        *(Part("python", "3*4"), Part("python_output", "12"), Part("text", "12, so x=")),
        *(Part("python", "12=12"), Part("python_output", "0"), Part("text", "0.\n#### 0")),
    )
    assert calculations("<<5>>")[0] == {"type": "python", "text": "5"}


def test_a_folder(file, tmp_path):
    file(HI, name="b.jsonl")
    pq.write_table(pa.table({"prompt": ["A"], "completion": ["B"], "n": [1]}), tmp_path / "a.parquet")
    assert [one.messages[0].content for one in read_conversations(tmp_path)] == ["A", "Hi"]


def test_parquet_with_messages(tmp_path):
    path = tmp_path / "talk.parquet"
    pq.write_table(pa.table({"messages": [HI, HI], "source": ["x", "y"]}), path, row_group_size=1)
    assert read_conversations(path) == read_conversations(path)
    assert len(read_conversations(path)) == 2
    pq.write_table(pa.table({"messages": [HI, HI[:1]]}), path)
    assert "talk.parquet: row 2: the assistant says nothing" in refusal(path)
    path.write_bytes(b"PAR1 no parquet")
    assert "talk.parquet: cannot be read" in refusal(path)


BAD = {
    '{"messages": [': "line 2: Input data was truncated",
    "7": "line 2: is neither an array of messages nor an object",
    '{"text": "a"}': "line 2: has none of the shapes messages, instruction+response",
    '[{"role": "user", "content": "Hi"}]': "line 2: the assistant says nothing",
    "[]": "line 2: a conversation needs a message of the user",
    '[{"role": "assistant", "content": "Hi"}]': "line 2: message 0 is the assistant's",
    '[{"role": "robot", "content": "Hi"}]': "line 2: this is no conversation",
    '{"prompt": "a", "completion": 3}': "line 2: this is no conversation",
    '{"messages": 3}': "line 2: this is no conversation",
}


@pytest.mark.parametrize("line", BAD)
def test_a_bad_line_is_named(file, line):
    message = refusal(file(HI, line))
    assert "talk.jsonl" in message
    assert BAD[line] in message


def test_nothing_there(file, tmp_path):
    assert "no conversations in it" in refusal(file("", "  "))
    assert "cannot be read: No such file" in refusal(Path(tmp_path / "nowhere.jsonl"))
