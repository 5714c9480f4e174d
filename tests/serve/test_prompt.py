"""Conversations that are longer than the context lose their oldest turns, and say so."""

import msgspec
import pytest

from nanochat_np.serve.failure import ApiError
from nanochat_np.serve.prompt import of_messages
from nanochat_np.serve.protocol import ChatMessage
from tests.serve.fake import CONTEXT, TOKENIZER, chat, events, served

pytestmark = pytest.mark.anyio
PATH = "/v1/chat/completions"


def prompt(*texts, system=None, context=CONTEXT, answer=None):
    messages = chat(*texts)["messages"]
    if system is not None:
        messages.insert(0, {"role": "system", "content": system})
    found = of_messages(TOKENIZER, msgspec.convert(messages, list[ChatMessage]), context, answer)
    return TOKENIZER.decode(found.ids), found.dropped


def test_what_fits_is_kept():
    text = "<|bos|><|user_start|>a<|user_end|><|assistant_start|>b<|assistant_end|><|user_start|>c<|user_end|>"
    assert prompt("a", "b", "c") == (f"{text}<|assistant_start|>", 0)


def test_the_oldest_turns_go_first_and_whole():
    texts = [letter * 30 for letter in "abcdefg"]
    text, dropped = prompt(*texts, context=160, answer=40)
    assert dropped == 4
    assert [letter for letter in "abcdefg" if letter * 30 in text] == ["e", "f", "g"]
    assert text.startswith(f"<|bos|><|user_start|>{texts[4]}<|user_end|>")


def test_the_message_of_the_system_stays():
    text, dropped = prompt(*[letter * 40 for letter in "abcde"], system="Be kind.", context=120)
    assert dropped == 4
    assert text == f"<|bos|><|user_start|>Be kind.\n\n{'e' * 40}<|user_end|><|assistant_start|>"


def test_an_answer_gets_the_room_it_asks_for_up_to_a_quarter():
    texts = ["a" * 20, "b" * 20, "c" * 20]
    assert prompt(*texts, context=100, answer=10)[1] == 0
    assert prompt(*texts, context=100, answer=99)[1] == 0
    assert prompt(*texts, context=89, answer=10)[1] == 0
    assert prompt(*texts, context=89, answer=99)[1] == 2


@pytest.mark.parametrize("size", [CONTEXT - 4, 10**6])
def test_a_message_that_does_not_fit_alone_is_refused(size):
    assert prompt("x" * (CONTEXT - 5))[1] == 0
    with pytest.raises(ApiError) as caught:
        prompt("x" * size)
    assert (caught.value.status, caught.value.code) == (400, "context_length_exceeded")


async def test_five_hundred_messages():
    async with served() as client:
        response = await client.post(PATH, json=chat(*["message"] * 499))
        stream = await client.post(PATH, json=chat(*["message"] * 499, stream=True))
    dropped = response.json()["nanochat"]["dropped_messages"]
    assert 400 < dropped < 499
    assert dropped % 2 == 0
    assert response.headers["x-context-dropped-messages"] == stream.headers["x-context-dropped-messages"]
    assert all(chunk["nanochat"]["dropped_messages"] == dropped for chunk in events(stream.text)[:-1])


async def test_an_answer_goes_on_to_the_end_of_the_context():
    async with served(lambda _: [97] * 1000) as client:
        answer = (await client.post(PATH, json=chat("x" * 300))).json()
    assert answer["choices"][0]["finish_reason"] == "length"
    assert answer["usage"]["total_tokens"] == CONTEXT
