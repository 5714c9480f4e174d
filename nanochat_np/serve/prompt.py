"""From the messages of a request to the token ids of a prompt that the context holds."""

from collections.abc import Sequence
from typing import NamedTuple

from nanochat_np.errors import DataError, MessageTooLong
from nanochat_np.serve.failure import ApiError
from nanochat_np.serve.protocol import ChatMessage, ImagePart
from nanochat_np.text.bpe import BpeTokenizer
from nanochat_np.text.conversation import Message, Part
from nanochat_np.text.fit import fit_conversation

ROOM = 256  # tokens that an answer should have, but at most a quarter of the context


class Prompt(NamedTuple):
    """Token ids, and how many of the oldest messages were left out to make them fit."""

    ids: list[int]
    dropped: int


def of_messages(tokenizer: BpeTokenizer, messages: Sequence[ChatMessage], context: int, answer: int | None) -> Prompt:
    """The prompt of a conversation whose last message is the user's.

    Where it leaves less than ``answer`` tokens of the context (ROOM if None; never more than a quarter) turns are left
    out from the oldest on; the system's message and the last stay.  Raises ApiError 400 for messages that are no
    conversation, or where these two alone fill the context.
    """
    turns = [_turn(number, message) for number, message in enumerate(messages)]
    most = context - 1
    near = _near(turns, most * max(map(len, tokenizer.tokens)))
    try:
        try:
            ids, dropped = fit_conversation(tokenizer, near, context - min(answer or ROOM, context // 4))
        except MessageTooLong:
            ids, dropped = fit_conversation(tokenizer, near, most)
    except MessageTooLong as error:
        raise ApiError(400, str(error), "messages", "context_length_exceeded") from None
    except DataError as error:
        raise ApiError(400, str(error), "messages", "invalid_conversation") from None
    return Prompt(ids, len(turns) - len(near) + dropped)


def _near(turns: list[Message], most: int) -> list[Message]:
    """The turns without those before the last ``most`` bytes: what cannot fit is not worth encoding.

    An even number of turns is left out, so that the first is the user's still.
    """
    first = 1 if turns[0].role == "system" else 0
    start, size = len(turns), 0
    while start > first and size <= most:
        start -= 1
        size += sum(len(text.encode(errors="replace")) for text in _texts(turns[start]))
    return [*turns[:first], *turns[start - (start - first) % 2 :]]


def _turn(number: int, message: ChatMessage) -> Message:
    """A message as `text.conversation` takes it.  Raises ApiError for what no model here can read."""
    param = f"messages[{number}].content"
    content: str | tuple[Part, ...]
    if isinstance(message.content, str):
        content = message.content
    else:
        if any(isinstance(part, ImagePart) for part in message.content):
            raise ApiError(400, "images are not supported: this model reads text only", param, "unsupported_content")
        content = tuple(part.as_part() for part in message.content if not isinstance(part, ImagePart))
        if message.role != "assistant" and any(part.type != "text" for part in content):
            raise ApiError(400, f"the {message.role}'s message takes parts of text only", param, "invalid_value")
        if all(part.type == "text" for part in content):
            content = "".join(part.text for part in content)
    turn = Message(message.role, content)
    if message.role != "assistant" and not "".join(_texts(turn)).strip():  # an answer that was empty is history
        raise ApiError(400, f"the {message.role}'s message is empty", param, "empty_content")
    return turn


def _texts(turn: Message) -> list[str]:
    return [turn.content] if isinstance(turn.content, str) else [part.text for part in turn.content]
