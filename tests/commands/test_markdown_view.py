"""Answers drawn as Markdown, seen on a terminal that knows no more than what drawing needs."""

import io
import re

import pytest
from rich.console import Console

from nanochat_np.commands import markdown_view
from nanochat_np.commands.markdown_view import MarkdownView, complete_blocks
from nanochat_np.infer.answer import Span


class Terminal(io.StringIO):
    """Its lines, of which those that have scrolled out of a window of ``height`` cannot be changed any more."""

    def __init__(self, height):
        super().__init__()
        self.height = height

    @property
    def lines(self):
        lines, row = [""], 0
        for part in re.findall(r"\x1b\[[?\d;]*[A-Za-z]|\n|\r|[^\x1b\n\r]+", self.getvalue()):
            if part == "\n":
                row += 1
                lines += [""] * (row + 1 - len(lines))
            elif part == "\x1b[2K":
                lines[row] = ""
            elif part.startswith("\x1b[") and part.endswith("A"):
                row -= int(part[2:-1])
                assert row >= max(0, len(lines) - self.height), "a line that has scrolled out would have to change"
            elif not part.startswith("\x1b") and part != "\r":
                lines[row] += part
        return [line.rstrip() for line in lines]


@pytest.fixture
def drawn(monkeypatch):
    """The terminal after each character of an answer, and after its end."""
    monkeypatch.setattr(markdown_view, "SECONDS_BETWEEN_FRAMES", 0)

    def draw(*spans, height=8):
        terminal = Terminal(height)
        console = Console(
            file=terminal, force_terminal=True, width=30, height=height, color_system=None, legacy_windows=False
        )
        view, seen = MarkdownView(console), []
        for kind, text in spans:
            for piece in text if kind == "text" else [text]:
                view.show([Span(kind, piece)])
                seen.append(terminal.lines)
        view.end()
        return seen, terminal.lines

    return draw


def test_markdown_grows_and_stays(drawn):
    text = "A *word*.\n\n- one\n- two\n\n```\nx = 1\n\ny\n```\nend"
    seen, last = drawn(("text", text))
    assert [line for line in last if line] == ["A word.", " • one", " • two", " x = 1", " y", "end"]
    assert seen[0] == ["A"]
    assert seen[3][0] == "A *w"
    assert seen[9][0] == "A word."


def test_an_answer_that_is_longer_than_the_terminal(drawn):
    paragraphs = [f"paragraph number {n}" for n in range(6)]
    _, last = drawn(("text", "\n\n".join(paragraphs)))
    assert [line for line in last if line] == paragraphs
    code = [f"line {n}" for n in range(12)]
    seen, last = drawn(("text", "\n".join(["```", *code, "```"])))
    assert [line.strip() for line in last if line] == code
    assert "line 11" in seen[-5][-2]


def test_calls_of_the_tool(drawn):
    spans = [("text", "It *is* "), ("python", "12*34"), ("python_output", "408"), ("text", "so\x1b[2J")]
    _, last = drawn(*spans)
    assert [line for line in last if line] == ["It is", "[12*34 = 408]", "so␛[2J"]
    assert [line for line in drawn(("python", "1+"))[1] if line] == ["[1+]"]
    assert [line for line in drawn(("python_output", "1"), ("text", "x"))[1] if line] == ["[1]", "x"]


def test_an_empty_answer(drawn):
    assert drawn()[1] == ["", ""]


@pytest.mark.parametrize(
    ("done", "rest"),
    [
        ("", "one\ntwo"),
        ("", "one\n\n"),
        ("one\n\n", "two"),
        ("1. one\n\n   still one\n\n", "two"),
        ("", "```\none\n\ntwo"),
        ("", "```\none\n\ntwo\n```\n\n"),
        ("~~~\none\n\n```\n\n~~~\n\n", "two"),
        ("one\n\ntwo\n\n", "- three\n\n  more\n\n"),
    ],
)
def test_blocks_that_nothing_changes_any_more(done, rest):
    assert complete_blocks(done + rest) == len(done)
