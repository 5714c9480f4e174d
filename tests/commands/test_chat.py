"""``chat`` as its user meets it: in a pipe, on a terminal, and with Ctrl-C."""

import io
import json
import os
import signal
import sys
from pathlib import Path

import pytest

from nanochat_np.commands import chat
from nanochat_np.text.conversation import render_conversation
from tests.commands.writer import TOKENIZER, Assistant, call_of_the_tool, save_gpt, stand_in
from tests.infer.test_session import echo


@pytest.fixture
def piped(lab, monkeypatch):
    """A chat with these lines piped in."""

    def run(*lines, flags=("--temperature=0",)):
        content = b"".join(line.encode() + b"\n" if isinstance(line, str) else line for line in lines)
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(content), encoding="utf-8"))
        return lab("chat", *flags)

    return run


@pytest.fixture
def typed(lab, monkeypatch):
    """A chat in which these lines are typed, and exceptions raised, where the prompt stands."""

    def run(*lines, flags=("--temperature=0",)):
        keys = iter(lines)

        def typing(prompt):
            assert prompt == "> "
            line = next(keys, EOFError())
            if isinstance(line, BaseException):
                raise line
            return line

        monkeypatch.setattr(sys, "stdin", io.StringIO())
        monkeypatch.setattr(sys.stdin, "isatty", lambda: True)
        monkeypatch.setattr("builtins.input", typing)
        return lab("chat", *flags)

    return run


def test_each_line_of_a_pipe_is_a_message(piped, monkeypatch):
    assistant = stand_in(monkeypatch, Assistant(echo))
    result = piped("hello", "", "  ", " /not a command", "é", "quit", "never")
    assert (result.code, result.out, result.err) == (0, "HELLO\n/NOT A COMMAND\nÉ\n", "")
    assert len(assistant.prompts) == 3
    summary = piped("hi", flags=("--json", "--system=S")).summary
    assert summary == {
        "command": "chat",
        "schema": 1,
        "checkpoint": "there",
        "stage": "sft",
        "step": 7,
        "device": "cpu",
        "messages": [
            {"role": "system", "content": "S"},
            {"role": "user", "content": "hi"},
            {"role": "assistant", "content": "HI"},
        ],
    }


def test_a_real_model(piped):
    save_gpt("results/run")
    first = piped("a", flags=("--max-tokens=4",))
    assert first.code == 0
    assert (
        piped("a", flags=("--max-tokens=4",)).out == first.out != piped("a", flags=("--max-tokens=4", "--seed=2")).out
    )
    flags = ("--max-tokens=4", "--json")
    conversation = piped("a", "b", "c", "d", "e", flags=flags)
    assert len(conversation.summary["messages"]) == 10
    assert "(longer than the context: the 6 oldest messages are left out)" in conversation.err


def test_errors_end_a_pipe(piped, monkeypatch):
    stand_in(monkeypatch, Assistant(echo, sequence_len=40))
    result = piped("hi", "x" * 50, "never")
    assert (result.code, result.out) == (1, "HI\n")
    assert result.err == (
        "error: the message, with the system's, takes 54 tokens and there is room for 30: shorten it\n"
    )
    assert piped("hi", b"\xff\n").err == "error: stdin: line 2 is not valid UTF-8\n"
    assert "unknown command /tmperature; did you mean /temperature? See: /help" in piped("/tmperature 1").error(1)


def test_errors_on_a_terminal_are_told_and_it_goes_on(typed, monkeypatch):
    stand_in(monkeypatch, Assistant(echo, sequence_len=40))
    result = typed("x" * 50, "/nothing", UnicodeDecodeError("utf-8", b"", 0, 1, ""), "on")
    assert (result.code, result.out) == (0, "ON\n")
    assert [line for line in result.err.splitlines() if line] == [
        "there (sft); /help tells what one can say, Ctrl-D ends",
        "error: the message, with the system's, takes 54 tokens and there is room for 30: shorten it",
        "error: unknown command /nothing. See: /help",
        "error: what was typed is not valid UTF-8",
    ]


def test_a_model_that_has_not_learnt_to_converse(typed, monkeypatch):
    stand_in(monkeypatch, Assistant(echo), stage="pretrain")
    assert "(a model after pretrain has not learnt to converse: it continues what it reads)" in typed().err
    assert typed(flags=("--quiet",)).err == "\n"


@pytest.mark.parametrize("word", ["quit", "exit", "/quit", "/QUIT", EOFError(), KeyboardInterrupt()])
def test_ways_to_end(typed, monkeypatch, word):
    stand_in(monkeypatch, Assistant(echo))
    result = typed("a", word, "never")
    assert (result.code, result.out) == (0, "A\n")


def test_ctrl_c_drops_a_line_that_was_begun(typed, monkeypatch):
    readline = pytest.importorskip("readline")
    stand_in(monkeypatch, Assistant(echo))
    monkeypatch.setattr(readline, "get_line_buffer", lambda: "half a li")
    assert typed(KeyboardInterrupt(), "on").out == "ON\n"


def test_ctrl_c_stops_the_answer_and_not_the_program(typed, monkeypatch):
    def watch(written):
        if bytes(written) == b"HEL":
            os.kill(os.getpid(), signal.SIGINT)

    before = signal.getsignal(signal.SIGINT)
    stand_in(monkeypatch, Assistant(echo, watch=watch))
    result = typed("hello", "on", "/save saved.jsonl")
    assert (result.code, result.out) == (0, "HELL\nON\n")
    assert json.loads(Path("saved.jsonl").read_text())[1] == {"role": "assistant", "content": "HELL"}
    assert signal.getsignal(signal.SIGINT) is before


def test_ctrl_c_twice_ends_the_program(typed, monkeypatch):
    def watch(written):
        if len(written) == 2:
            os.kill(os.getpid(), signal.SIGINT)
            os.kill(os.getpid(), signal.SIGINT)

    stand_in(monkeypatch, Assistant(echo, watch=watch))
    result = typed("hello", "never")
    assert (result.code, result.out) == (130, "HE\n")
    assert result.err.endswith("interrupted\n")


def test_settings(piped, monkeypatch):
    seen = []
    ask = chat.Session.ask
    monkeypatch.setattr(chat.Session, "ask", lambda self, text: seen.append(self.sampling) or ask(self, text))
    stand_in(monkeypatch, Assistant(echo))
    result = piped("/temperature", "/temperature 0.5", "/topk 7", "/topp .25", "hi")
    assert result.err.splitlines() == ["temperature 0", "temperature 0.5", "top-k 7", "top-p 0.25"]
    assert (seen[0].temperature, seen[0].top_k, seen[0].top_p) == (0.5, 7, 0.25)
    for wrong, words in (
        ("/temperature 3", "/temperature 3: expected a number, at least 0 and at most 2"),
        ("/temperature hot", "/temperature hot: expected a number"),
        ("/topk 1.5", "/topk 1.5: expected a whole number, at least 0"),
        ("/topp 0", "/topp 0: expected a number, above 0"),
        ("/clear all", "/clear takes nothing, got all"),
        ("/retry", "/retry: there is no answer yet"),
        ("/save x", "/save: nothing has been said yet"),
        ("/save", "/save needs a file: /save FILE"),
        ("/load nowhere", "/load nowhere: No such file"),
    ):
        assert words in piped(wrong).error(2 if "nowhere" in wrong else 1)


def test_the_system_and_a_new_conversation(piped, monkeypatch):
    assistant = stand_in(monkeypatch, Assistant(echo))
    result = piped("/system", "/system Be kind.", "hi", "/retry", "clear", "/system -", "new", "/retry")
    assert result.err.splitlines() == ["system: none", "system: Be kind.", "a new conversation", "system: none"]
    kind = "<|bos|><|user_start|>Be kind.\n\nhi<|user_end|><|assistant_start|>"
    new = "<|bos|><|user_start|>new<|user_end|><|assistant_start|>"
    assert assistant.prompts == [kind, kind, new, new]


def test_what_is_saved_can_be_learnt_and_loaded(piped, monkeypatch):
    forced = [0] * (2 + len("4"))
    assistant = stand_in(monkeypatch, Assistant(lambda prompt: [*call_of_the_tool("2+2"), *forced]))
    result = piped("hi", "/save saved.jsonl", "é", "/save saved.jsonl", flags=("--system=S",))
    assert result.err == "3 messages added to saved.jsonl\n5 messages added to saved.jsonl\n"
    lines = Path("saved.jsonl").read_text(encoding="utf-8").splitlines()
    conversations = [json.loads(line) for line in lines]
    assert [len(messages) for messages in conversations] == [3, 5]
    assert conversations[1][3] == {"role": "user", "content": "é"}
    assert render_conversation(TOKENIZER, {"messages": conversations[1]})[1].any()
    again = piped("/load saved.jsonl", "on", flags=("--json",))
    assert again.err == "5 messages from saved.jsonl\n"
    assert again.summary["messages"][:5] == conversations[1]
    assert assistant.prompts[-1].count("2+2<|python_end|><|output_start|>4<|output_end|>") == 2
    for content in ("", "{", "[]", '[{"role":"user","content":"hi"}]', '[{"role":"assistant","content":"hi"}]', "\xff"):
        Path("bad.jsonl").write_text(content, encoding="latin-1")
        assert "/load bad.jsonl: its last line " in piped("/load bad.jsonl").error(2)


def test_help_names_every_command(piped, monkeypatch):
    stand_in(monkeypatch, Assistant(echo))
    lines = piped("/help").err.splitlines()
    assert [line.split()[0] for line in lines[:-1]] == [
        *("/temperature", "/topk", "/topp", "/system", "/retry", "/clear", "/save", "/load", "/help", "/quit")
    ]


def test_no_stdin(lab, monkeypatch):
    monkeypatch.setattr(sys, "stdin", None)
    assert "chat reads what you say from stdin, which is closed" in lab("chat").error(1)
