"""From the messages of a request to the token ids of a prompt that the context holds."""

from collections.abc import Sequence
from typing import Any, NamedTuple

from nanochat_np.serve.failure import ApiError
from nanochat_np.serve.protocol import ChatMessage, ImagePart, TextPart
from nanochat_np.text.bpe import BpeTokenizer
from nanochat_np.text.conversation import render_for_completion

FRAME = 2  # tokens around a message
ROOM = 256  # tokens that an answer should have, but at most a quarter of the context

Turn = dict[str, Any]  # a message as `text.conversation` takes it

_REPLY = {"role": "assistant", "content": ""}


class Prompt(NamedTuple):
    """Token ids, and how many of the oldest messages were left out to make them fit."""

    ids: list[int]
    dropped: int


def of_messages(tokenizer: BpeTokenizer, messages: Sequence[ChatMessage], context: int, answer: int | None) -> Prompt:
    """The prompt of a conversation whose last message is the user's.

    Where it leaves less than ``answer`` tokens of the context (ROOM if None; never more than a quarter) turns are left
    out from the oldest on, a question with its answer; the system's message and the last stay.  Raises ApiError 400
    for messages that are no conversation, or where these two alone fill the context.
    """
    turns = [_turn(number, message) for number, message in enumerate(messages)]
    system, turns = (turns[:1], turns[1:]) if turns[0]["role"] == "system" else ([], turns)
    _require_alternation(turns, len(system))
    longest = max(map(len, tokenizer.tokens))
    if _bytes(system + turns[-1:]) > context * longest:  # no need to encode what cannot fit
        raise _too_long("more", context)
    kept = _newest(tokenizer, system, turns, context - min(answer or ROOM, context // 4), longest)
    ids = render_for_completion(tokenizer, {"messages": [*system, *kept, _REPLY]}, max_tokens=2**31).tolist()
    if len(ids) >= context:
        raise _too_long(str(len(ids)), context)
    return Prompt(ids, len(turns) - len(kept))


def _too_long(tokens: str, context: int) -> ApiError:
    message = f"the last message makes a prompt of {tokens} tokens, and the context holds {context} with the answer"
    return ApiError(400, message, "messages", "context_length_exceeded")


def _newest(tokenizer: BpeTokenizer, system: list[Turn], turns: list[Turn], budget: int, longest: int) -> list[Turn]:
    """The newest turns, the first of them the user's, that make at most ``budget`` tokens; always the last."""
    used = FRAME + sum(_tokens(tokenizer, turn) for turn in system + turns[-1:])
    first = len(turns) - 1
    while first >= 2:
        pair = turns[first - 2 : first]
        if _bytes(pair) > budget * longest:
            break
        used += sum(_tokens(tokenizer, turn) for turn in pair)
        if used > budget:
            break
        first -= 2
    return turns[first:]


def _turn(number: int, message: ChatMessage) -> Turn:
    """A message as `text.conversation` takes it.  Raises ApiError for what no model here can read."""
    param = f"messages[{number}].content"
    content: str | list[dict[str, str]]
    if isinstance(message.content, str):
        content = message.content
        text = content
    else:
        if any(isinstance(part, ImagePart) for part in message.content):
            raise ApiError(400, "images are not supported: this model reads text only", param, "unsupported_content")
        parts = [part for part in message.content if not isinstance(part, ImagePart)]
        text = "".join(part.text for part in parts)
        if all(isinstance(part, TextPart) for part in parts):
            content = text
        elif message.role == "assistant":
            content = [{"type": str(part.__struct_config__.tag), "text": part.text} for part in parts]
        else:
            raise ApiError(400, f"the {message.role}'s message takes parts of text only", param, "invalid_value")
    if not text.strip() and message.role != "assistant":  # an answer that came out empty is history all the same
        raise ApiError(400, f"the {message.role}'s message is empty", param, "empty_content")
    return {"role": message.role, "content": content}


def _require_alternation(turns: list[Turn], offset: int) -> None:
    for number, turn in enumerate(turns):
        role = "assistant" if number % 2 else "user"
        if turn["role"] != role:
            message = f"message {number + offset} is the {turn['role']}'s and should be the {role}'s: after one of the "
            message += "system, which may be left out, user and assistant take turns"
            raise ApiError(400, message, f"messages[{number + offset}].role", "invalid_conversation")
    if len(turns) % 2 == 0:
        raise ApiError(400, "the last message must be the user's", "messages", "invalid_conversation")


def _texts(turn: Turn) -> list[str]:
    content = turn["content"]
    return [content] if isinstance(content, str) else [part["text"] for part in content]


def _bytes(turns: list[Turn]) -> int:
    return sum(len(text.encode(errors="replace")) for turn in turns for text in _texts(turn))


def _tokens(tokenizer: BpeTokenizer, turn: Turn) -> int:
    return sum(FRAME + len(tokenizer.encode(text)) for text in _texts(turn))
