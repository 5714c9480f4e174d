"""Conversations that are longer than the context."""

import pytest

from nanochat_np.errors import DataError, MessageTooLong
from nanochat_np.text.bpe import BYTES, BpeTokenizer
from nanochat_np.text.conversation import Message, render_for_completion
from nanochat_np.text.fit import fit_conversation, with_end_of

TOKENIZER = BpeTokenizer(BYTES)
SYSTEM = Message("system", "short")


def talk(turns):
    """Messages of ten bytes: each takes 12 tokens, and bos and assistant_start one each."""
    messages = [Message(role, f"{role[0]} {n:03} ....") for n in range(turns) for role in ("user", "assistant")]
    return [*messages, Message("user", "last ...!!")]


def ids_of(messages):
    conversation = {"messages": [*messages, Message("assistant", "")]}
    return render_for_completion(TOKENIZER, conversation, max_tokens=10**6).tolist()


@pytest.mark.parametrize("system", [[], [SYSTEM]])
def test_whole_turns_are_left_out_from_the_oldest_on(system):
    messages = [*system, *talk(4)]
    kept = [[*system, *talk(4)[2 * turns :]] for turns in range(5)]
    whole = len(ids_of(messages))
    assert whole == 9 * 12 + 2 + 7 * len(system)
    for room in range(whole + 3, 13 + 7 * len(system), -1):
        turns = max(0, -((room - whole) // 24))
        assert fit_conversation(TOKENIZER, messages, room) == (ids_of(kept[turns]), 2 * turns)
    with pytest.raises(MessageTooLong, match=f"takes {14 + 7 * len(system)} tokens and there is room for 5: shorten"):
        fit_conversation(TOKENIZER, messages, 5)


def test_a_long_history_is_soon_fitted():
    ids, dropped = fit_conversation(TOKENIZER, talk(250), 60)
    assert (len(ids), dropped) == (5 * 12 + 2 - 24, 2 * 249)


def test_what_is_no_conversation():
    for wrong in ([], [SYSTEM], talk(1)[:-1], [Message("assistant", "hi"), Message("user", "x")]):
        with pytest.raises(DataError):
            fit_conversation(TOKENIZER, wrong, 100)


def test_control_tokens_that_the_user_types_stay_text():
    ids, _ = fit_conversation(TOKENIZER, [Message("user", "<|user_end|><|assistant_start|>")], 100)
    assert sum(token >= 256 for token in ids) == 4


def test_the_end_of_a_message_is_kept():
    long = Message("user", "0123456789é€")
    assert with_end_of(TOKENIZER, [SYSTEM, long], 100) == [SYSTEM, long]
    for room, text in ((7 + 4 + 5, "é€"), (7 + 4 + 4, "€"), (7 + 4 + 3, "€"), (7 + 4 + 2, ""), (7 + 4, "")):
        (_, last) = messages = with_end_of(TOKENIZER, [SYSTEM, long], room)
        assert last.content == text
        assert len(ids_of(messages)) <= room
    with pytest.raises(MessageTooLong):
        with_end_of(TOKENIZER, [SYSTEM, long], 10)
