"""A conversation without a terminal."""

import pytest

from nanochat_np.errors import DataError, MessageTooLong
from nanochat_np.infer.answer import Span
from nanochat_np.infer.sampling import Sampling
from nanochat_np.infer.session import Session
from nanochat_np.text.conversation import Message, Part
from tests.commands.writer import Assistant, call_of_the_tool
from tests.infer.tiny import engine

GREEDY = Sampling(max_tokens=100, temperature=0.0)


def echo(prompt):
    """The last message of the user in capitals."""
    return list(prompt.split("<|user_start|>")[-1].split("<|user_end|>")[0].split("\n\n")[-1].upper().encode())


def said(session, text):
    """The answer to a text."""
    return "".join(span.text for spans in session.ask(text) for span in spans)


def test_what_is_said_is_remembered():
    assistant = Assistant(echo)
    session = Session(assistant, GREEDY, system="Shout.")
    assert [said(session, "hi"), said(session, "you")] == ["HI", "YOU"]
    assert session.messages == [
        Message("user", "hi"),
        Message("assistant", "HI"),
        Message("user", "you"),
        Message("assistant", "YOU"),
    ]
    assert session.conversation == [Message("system", "Shout."), *session.messages]
    first = "<|bos|><|user_start|>Shout.\n\nhi<|user_end|><|assistant_start|>"
    assert assistant.prompts == [
        first,
        first + "HI<|assistant_end|><|user_start|>you<|user_end|><|assistant_start|>",
    ]
    session.clear()
    session.system = None
    said(session, "anew")
    assert assistant.prompts[-1] == "<|bos|><|user_start|>anew<|user_end|><|assistant_start|>"


def test_another_answer_has_other_draws():
    session = Session(engine(1), Sampling(max_tokens=8))
    first = said(session, "hi")
    second = "".join(span.text for spans in session.retry() for span in spans)
    assert second != first
    assert [message.role for message in session.messages] == ["user", "assistant"]
    assert first == said(Session(engine(1), Sampling(max_tokens=8)), "hi")


def test_calls_of_the_tool_are_parts_of_the_message():
    forced = [0] * (2 + len("4"))
    say = [*b"2+2 is ", *call_of_the_tool("2+2"), *forced, *b"!"]
    assistant = Assistant(lambda prompt: say)
    session = Session(assistant, GREEDY)
    spans = [span for spans in session.ask("2+2?") for span in spans]
    assert spans[-3:] == [Span("python", "2+2"), Span("python_output", "4"), Span("text", "!")]
    parts = (Part("text", "2+2 is "), Part("python", "2+2"), Part("python_output", "4"), Part("text", "!"))
    assert session.messages[-1] == Message("assistant", parts)
    said(session, "so?")
    assert "2+2 is <|python_start|>2+2<|python_end|><|output_start|>4<|output_end|>!" in assistant.prompts[-1]
    plain = Session(Assistant(lambda prompt: call_of_the_tool("2+2")), GREEDY, tool=False)
    said(plain, "2+2?")
    assert plain.messages[-1] == Message("assistant", (Part("python", "2+2"),))


@pytest.mark.parametrize("after", [0, 1, 3])
def test_an_answer_that_is_stopped_stays_as_far_as_it_came(after):
    session = Session(Assistant(echo), GREEDY)
    session.cancel()  # nobody answers yet
    told = ""
    pieces = session.ask("hello")
    if after == 0:
        session.cancel()
    for spans in pieces:
        told += "".join(span.text for span in spans)
        if len(told) == after:
            session.cancel()
    assert told == ("HELLO"[:after] if after else "HELLO")
    assert session.messages == [Message("user", "hello"), Message("assistant", told)]
    assert said(session, "on") == "ON"


def test_a_stop_string_ends_an_answer():
    session = Session(Assistant(echo), GREEDY, stop=["LL"])
    assert [said(session, "hello"), said(session, "all"), said(session, "he")] == ["HE", "A", "HE"]


def test_what_is_longer_than_the_context():
    assistant = Assistant(echo, sequence_len=60)
    session = Session(assistant, GREEDY, system="S")
    found = []
    for number in range(30):
        assert said(session, f"msg {number:02}") == f"MSG {number:02}"
        found.append(session.left_out)
        assert assistant.prompts[-1].startswith("<|bos|><|user_start|>S\n\nmsg")
    assert found == [0, 0, 0, *range(2, 56, 2)]
    assert len(session.messages) == 60
    before = list(session.messages)
    with pytest.raises(MessageTooLong, match="takes 54 tokens and there is room for 45"):
        session.ask("x" * 47)
    with pytest.raises(DataError):
        session.ask("\ud800")
    session.system = "S" * 50
    with pytest.raises(MessageTooLong):
        session.retry()
    assert session.messages == before
    session.system = None
    session.clear()
    assert said(session, "short") == "SHORT"
    assert session.left_out == 0


def test_an_answer_ends_where_the_context_does():
    session = Session(Assistant(lambda prompt: list(b"x" * 300), sequence_len=60), GREEDY)
    assert said(session, "go") == "x" * (60 - 6)
