"""A conversation in the room that a context has: the oldest turns go first."""

import sys
from bisect import bisect_left
from collections.abc import Sequence

from nanochat_np.errors import MessageTooLong
from nanochat_np.text.bpe import BpeTokenizer
from nanochat_np.text.conversation import Ids, Message, render_for_completion


def fit_conversation(tokenizer: BpeTokenizer, messages: Sequence[Message], room: int) -> tuple[list[int], int]:
    """Ids that an answer to the last message, a user's, follows, at most ``room``; and how many messages are left out.

    Those are as many of the oldest turns as it takes, each the user's and the assistant's message after it; the
    system's message and the last one stay.  Raises MessageTooLong where these two alone do not fit, DataError for what
    is no conversation or does not end with the user's message.
    """
    ids = _rendered(tokenizer, messages)
    if len(ids) <= room:
        return ids.tolist(), 0
    first = 1 if messages[0].role == "system" else 0
    system, others = messages[:first], messages[first:]
    turns = len(others) // 2

    def without(count: int) -> Ids:
        return _rendered(tokenizer, [*system, *others[2 * count :]])

    count = bisect_left(range(turns + 1), True, key=lambda count: len(without(count)) <= room)
    if count > turns:
        raise MessageTooLong(len(without(turns)), room)
    return without(count).tolist(), 2 * count


def room_beside(answer: int, context: int) -> int:
    """Tokens of a context for what an answer of at most so many follows; the answer may claim up to a quarter of it."""
    return context - min(answer, context // 4)


def with_end_of(tokenizer: BpeTokenizer, messages: Sequence[Message], room: int) -> list[Message]:
    """The messages with as much of the last one's text, from its end, as ``room`` tokens in all have a place for.

    Raises MessageTooLong where not even none of it would fit.
    """
    *before, last = messages
    kept = tokenizer.encode(str(last.content))
    while (excess := len(_rendered(tokenizer, [*before, last])) - room) > 0:
        if not kept.size:
            raise MessageTooLong(room + excess, room)
        kept = kept[excess:]
        last = Message(last.role, tokenizer.decode_bytes(kept).decode(errors="ignore"))
    return [*before, last]


def _rendered(tokenizer: BpeTokenizer, messages: Sequence[Message]) -> Ids:
    conversation = {"messages": [*messages, Message("assistant", "")]}
    return render_for_completion(tokenizer, conversation, max_tokens=sys.maxsize)
