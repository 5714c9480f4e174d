"""Files of conversations: JSON Lines or parquet, in every shape that such files commonly have."""

import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import msgspec

from nanochat_np.data.files import files_below, readable
from nanochat_np.data.parquet import rows
from nanochat_np.errors import DataError
from nanochat_np.text.conversation import Conversation, parsed

SUFFIXES = (".jsonl", ".parquet")
_CALCULATION = re.compile(r"<<([^<>]*)>>")


def read_conversations(path: Path) -> list[Conversation]:
    """All conversations of a file, or of the files below a folder in the order of their names.

    A line of JSONL, or a row of parquet, has one of these shapes; other fields are passed over, blank lines too:

    - ``[{"role": …, "content": …}, …]`` (JSONL) or ``{"messages": [the same]}``;
    - ``{"instruction": …, "response": …}``, where an ``"input"`` may follow the instruction;
    - ``{"prompt": …, "completion": …}``;
    - ``{"question": …, "answer": …}`` of GSM8K, whose ``<<expression=result>>`` become calls of the calculator.

    Raises DataError that names the file and the line or row that is none of these, or has no answer to learn.
    """
    with readable(path):
        paths = files_below(path, SUFFIXES) if path.is_dir() else [path]
        found = [one for file in paths for one in _of_file(file)]
    if not found:
        raise DataError(f"{path}: no conversations in it: docs/fine_tuning.md has the shapes")
    return found


def conversation_of(content: object) -> Conversation:
    """The conversation in a decoded line.  Raises DataError that says what is wrong with it."""
    if isinstance(content, list):
        content = {"messages": content}
    if not isinstance(content, dict):
        raise DataError("is neither an array of messages nor an object")
    for fields, convert in _SHAPES.items():
        if all(content.get(field) is not None for field in fields):
            found = parsed(convert(content))
            if not any(message.role == "assistant" for message in found.messages):
                raise DataError("the assistant says nothing: there is nothing to learn")
            return found
    raise DataError(f"has none of the shapes {', '.join('+'.join(fields) for fields in _SHAPES)}")


def calculations(answer: str) -> list[dict[str, str]]:
    """The parts of a solution in which ``<<expression=result>>`` stands for a call of the calculator.

    The result is what follows the last "=".  Source: GSM8K, Cobbe et al. 2021, arXiv:2110.14168.
    """
    parts = []
    for number, text in enumerate(_CALCULATION.split(answer)):
        if number % 2:
            expression, _, result = text.rpartition("=")
            parts += [("python", expression or result), ("python_output", result if expression else "")]
        elif text:
            parts.append(("text", text))
    return [{"type": kind, "text": text} for kind, text in parts]


def _of_file(path: Path) -> Iterator[Conversation]:
    parquet = path.suffix.lower() == ".parquet"
    for where, content in _rows(path) if parquet else _lines(path):
        try:
            yield conversation_of(content)
        except DataError as error:
            raise DataError(f"{path}: {where}: {error}") from None


def _lines(path: Path) -> Iterator[tuple[str, Any]]:
    for number, line in enumerate(path.read_bytes().removeprefix(b"\xef\xbb\xbf").split(b"\n"), 1):
        if line.strip():
            try:
                yield f"line {number}", msgspec.json.decode(line)
            except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
                raise DataError(f"{path}: line {number}: {error}: mend or remove this line") from None


def _rows(path: Path) -> Iterator[tuple[str, Any]]:
    fields = {field for shape in _SHAPES for field in (*shape, "input")}
    return ((f"row {number}", row) for number, row in enumerate(rows(path, fields), 1))


def _pair(asked: object, answered: object) -> dict[str, Any]:
    messages = ({"role": "user", "content": asked}, {"role": "assistant", "content": answered})
    return {"messages": messages}


def _instruction(row: Mapping[str, Any]) -> dict[str, Any]:
    asked, more = row["instruction"], row.get("input")
    return _pair(f"{asked}\n\n{more}" if more and isinstance(asked, str) else asked, row["response"])


def _question(row: Mapping[str, Any]) -> dict[str, Any]:
    answer = row["answer"]
    return _pair(row["question"], calculations(answer) if isinstance(answer, str) and "<<" in answer else answer)


_SHAPES: dict[tuple[str, ...], Callable[[Mapping[str, Any]], object]] = {
    ("messages",): lambda row: {"messages": row["messages"]},
    ("instruction", "response"): _instruction,
    ("prompt", "completion"): lambda row: _pair(row["prompt"], row["completion"]),
    ("question", "answer"): _question,
}
