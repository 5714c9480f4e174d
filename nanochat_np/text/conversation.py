"""A conversation as token ids, and which of them the assistant is to learn.

    <|bos|> <|user_start|>question<|user_end|> <|assistant_start|>answer<|assistant_end|> ...

What the assistant says, its calls of the tool and the token that ends its turn are learnt; what the user says and what
the tool answers are not.  Each text is encoded by itself.
"""

from collections.abc import Iterator, Sequence
from typing import Literal, NamedTuple

import msgspec
import numpy as np
import numpy.typing as npt

from nanochat_np.errors import DataError
from nanochat_np.text import special
from nanochat_np.text.bpe import BpeTokenizer

MAX_TOKENS = 2048

Ids = npt.NDArray[np.int32]


class Part(msgspec.Struct, frozen=True):
    """A piece of what the assistant says: text, a call of the tool, or the tool's answer."""

    type: Literal["text", "python", "python_output"]
    text: str


class Message(msgspec.Struct, frozen=True):
    """A turn.  Only the assistant's may have parts."""

    role: Literal["system", "user", "assistant"]
    content: str | tuple[Part, ...]


class Conversation(msgspec.Struct, frozen=True):
    """Turns of user and assistant in alternation, the user's first; before them there may be one of the system."""

    messages: tuple[Message, ...]


def parsed(conversation: object) -> Conversation:
    """The record of ``{"messages": [{"role", "content"}, ...]}``.  Raises DataError as `render_conversation` does."""
    _turns(conversation)
    return msgspec.convert(conversation, Conversation)


def render_conversation(
    tokenizer: BpeTokenizer, conversation: object, max_tokens: int = MAX_TOKENS
) -> tuple[Ids, npt.NDArray[np.bool_]]:
    """Ids (N,) of ``{"messages": [{"role", "content"}, ...]}`` and the mask (N,) of what is learnt; N <= max_tokens.

    A message of the system becomes the beginning of the user's first.  Raises DataError that names the message, counted
    from 0, where one is not as `Conversation` says.
    """
    return _rendered(tokenizer, _turns(conversation), max_tokens)


def render_for_completion(tokenizer: BpeTokenizer, conversation: object, max_tokens: int = MAX_TOKENS) -> Ids:
    """Ids (N,) of a conversation up to where its last message begins, which is the assistant's and left out.

    The last of them is <|assistant_start|>, after at most ``max_tokens`` others.  Raises DataError as
    `render_conversation` does, and where the last message is the user's.
    """
    turns = _turns(conversation)
    if turns.pop().role == "user":
        raise DataError("the last message is the user's: it must be the assistant's, which is left out to be completed")
    ids, _ = _rendered(tokenizer, turns, max_tokens)
    return np.append(ids, np.int32(tokenizer.special_ids[special.ASSISTANT_START]))


def check_conversation(messages: Sequence[Message]) -> None:
    """Raise DataError where the messages are not as `Conversation` says."""
    _turns({"messages": messages})


def stop_ids(tokenizer: BpeTokenizer) -> frozenset[int]:
    """The tokens that end what the assistant says."""
    return frozenset({tokenizer.special_ids[special.ASSISTANT_END], tokenizer.bos})


class _Turn(NamedTuple):
    role: str
    parts: tuple[Part, ...]


def _rendered(tokenizer: BpeTokenizer, turns: list[_Turn], max_tokens: int) -> tuple[Ids, npt.NDArray[np.bool_]]:
    tokens: list[int] = []
    mask: list[bool] = []
    for ids, learnt in _spans(tokenizer, turns):
        tokens += ids
        mask += [learnt] * len(ids)
    return np.array(tokens[:max_tokens], np.int32), np.array(mask[:max_tokens], np.bool_)


def _spans(tokenizer: BpeTokenizer, turns: list[_Turn]) -> Iterator[tuple[list[int], bool]]:
    """Ids that belong together, and whether they are learnt."""
    ids = tokenizer.special_ids
    yield [tokenizer.bos], False
    for role, parts in turns:
        if role == "user":
            yield [ids[special.USER_START], *tokenizer.ids(parts[0].text), ids[special.USER_END]], False
            continue
        yield [ids[special.ASSISTANT_START]], False
        for part in parts:
            start, end = ([ids[name]] for name in _FRAMES[part.type]) if part.type in _FRAMES else ([], [])
            yield [*start, *tokenizer.ids(part.text), *end], part.type != "python_output"
        yield [ids[special.ASSISTANT_END]], True


_FRAMES = {
    "python": (special.PYTHON_START, special.PYTHON_END),
    "python_output": (special.OUTPUT_START, special.OUTPUT_END),
}


def _turns(conversation: object) -> list[_Turn]:
    """The messages of user and assistant, that of the system merged into the first."""
    try:
        messages = msgspec.convert(conversation, Conversation).messages
    except msgspec.ValidationError as error:
        raise DataError(f"this is no conversation: {error}") from None
    turns: list[_Turn] = []
    for number, message in enumerate(messages):
        role = "assistant" if turns and turns[-1].role == "user" else "user"
        if message.role != role and (number, message.role) != (0, "system"):
            raise DataError(f"message {number} is the {message.role}'s, and should be the {role}'s")
        if not isinstance(message.content, str) and message.role != "assistant":
            raise DataError(f"message {number}: the {message.role}'s content is a text, only the assistant's has parts")
        parts = (Part("text", message.content),) if isinstance(message.content, str) else message.content
        turns.append(_Turn(message.role, parts))
    system = turns.pop(0).parts[0].text if turns and turns[0].role == "system" else None
    if not turns:
        raise DataError("a conversation needs a message of the user")
    if system is not None:
        turns[0] = _Turn("user", (Part("text", f"{system}\n\n{turns[0].parts[0].text}"),))
    return turns
