"""What is wrong with a request is told in OpenAI's envelope, by the name of the field."""

import json

import pytest

from nanochat_np.serve import exchange
from tests.serve.fake import CONTEXT, Connection, chat, events, served

pytestmark = pytest.mark.anyio
CHAT, TEXT, UPSTREAM = "/v1/chat/completions", "/v1/completions", "/chat/completions"
USER = {"role": "user", "content": "hi"}
IMAGE = [{"type": "image_url", "image_url": {"url": "http://example.org/a.png"}}]


def said(*messages):
    return {"model": "tiny", "messages": list(messages)}


WRONG = [
    (CHAT, {"messages": [USER]}, 400, "model", "invalid_value"),
    (CHAT, {"model": "tiny"}, 400, "messages", "invalid_value"),
    (CHAT, said(), 400, "messages", "invalid_value"),
    (CHAT, said(*[USER] * 501), 400, "messages", "invalid_value"),
    (CHAT, chat("hi") | {"model": "gpt-5"}, 404, "model", "model_not_found"),
    (CHAT, chat("hi", tools=[]), 400, "tools", "invalid_value"),
    (CHAT, chat("hi", temperature=2.1), 400, "temperature", "invalid_value"),
    (CHAT, chat("hi", temperature="1"), 400, "temperature", "invalid_value"),
    (CHAT, chat("hi", top_p=-0.1), 400, "top_p", "invalid_value"),
    (CHAT, chat("hi", top_k=201), 400, "top_k", "invalid_value"),
    (CHAT, chat("hi", n=0), 400, "n", "invalid_value"),
    (CHAT, chat("hi", n=129), 400, "n", "invalid_value"),
    (CHAT, chat("hi", max_tokens=0), 400, "max_tokens", "invalid_value"),
    (CHAT, chat("hi", max_tokens=4097), 400, "max_tokens", "invalid_value"),
    (CHAT, chat("hi", seed=1.5), 400, "seed", "invalid_value"),
    (CHAT, chat("hi", stop=["a"] * 5), 400, "stop", "invalid_value"),
    (CHAT, chat("hi", stop=""), 400, "stop", "invalid_value"),
    (CHAT, chat("hi", logit_bias={"a": 1}), 400, "logit_bias", "invalid_value"),
    (CHAT, chat("hi", logit_bias={"9999": 1}), 400, "logit_bias", "invalid_value"),
    (CHAT, chat("hi", logit_bias={"1": 101}), 400, "logit_bias", "invalid_value"),
    (CHAT, chat("hi", top_logprobs=3), 400, "top_logprobs", "invalid_value"),
    (CHAT, chat("hi", repetition_penalty=0), 400, "repetition_penalty", "invalid_value"),
    (CHAT, chat("hi", stream_options={"x": 1}), 400, "stream_options.x", "invalid_value"),
    (CHAT, said({"role": "tool", "content": "a"}), 400, "messages[0].role", "invalid_value"),
    (CHAT, said({"role": "user", "content": 3}), 400, "messages[0].content", "invalid_value"),
    (CHAT, said({"role": "user", "content": "\ud800"}), 400, None, "invalid_json"),
    (CHAT, chat(" \n"), 400, "messages[0].content", "empty_content"),
    (CHAT, chat([]), 400, "messages[0].content", "empty_content"),
    (CHAT, chat(IMAGE), 400, "messages[0].content", "unsupported_content"),
    (CHAT, chat([{"type": "python", "text": "1"}]), 400, "messages[0].content", "invalid_value"),
    (CHAT, said(USER, USER), 400, "messages", "invalid_conversation"),
    (CHAT, chat("a", "b"), 400, "messages", "invalid_conversation"),
    (CHAT, said({"role": "system", "content": "a"}), 400, "messages", "invalid_conversation"),
    (CHAT, said(USER, {"role": "system", "content": "a"}), 400, "messages", "invalid_conversation"),
    (CHAT, chat("x" * CONTEXT), 400, "messages", "context_length_exceeded"),
    (CHAT, chat("x" * 100_000), 400, "messages", "context_length_exceeded"),
    (TEXT, {"model": "tiny"}, 400, "prompt", "invalid_value"),
    (TEXT, {"model": "tiny", "prompt": []}, 400, "prompt", "invalid_value"),
    (TEXT, {"model": "tiny", "prompt": ["a", 1]}, 400, "prompt", "invalid_value"),
    (TEXT, {"model": "tiny", "prompt": [9999]}, 400, "prompt", "invalid_value"),
    (TEXT, {"model": "tiny", "prompt": [-1]}, 400, "prompt", "invalid_value"),
    (TEXT, {"model": "tiny", "prompt": ["a"] * 129}, 400, "prompt", "invalid_value"),
    (TEXT, {"model": "tiny", "prompt": "x" * CONTEXT}, 400, "prompt", "context_length_exceeded"),
    (TEXT, {"model": "tiny", "prompt": [1] * CONTEXT}, 400, "prompt", "context_length_exceeded"),
    (TEXT, {"model": "tiny", "prompt": "a", "best_of": 2}, 400, "best_of", "invalid_value"),
    (UPSTREAM, {"messages": [{"role": "system", "content": "a"}]}, 400, "messages[0].role", "invalid_value"),
    (UPSTREAM, {"messages": [{"role": "user", "content": "a" * 8001}]}, 400, "messages[0].content", "invalid_value"),
    (
        UPSTREAM,
        {"messages": [{"role": ("user", "assistant")[i % 2], "content": "a" * 8000} for i in range(5)]},
        400,
        "messages",
        "invalid_value",
    ),
]


async def test_each_mistake_is_named():
    async with served() as client:
        for path, body, status, param, code in WRONG:
            response = await client.post(path, content=json.dumps(body), headers={"content-type": "application/json"})
            error = response.json()["error"]
            assert set(error) == {"message", "type", "param", "code"}
            assert (response.status_code, error["param"], error["code"]) == (status, param, code), (body, error)
        assert client.engine.prompts == []


@pytest.mark.parametrize("body", [b"", b"{", b"null", b"[" * 10**5, b'"\xff"', b'{"model": NaN}'])
async def test_what_is_no_json_object_is_refused(body):
    async with served() as client:
        response = await client.post(CHAT, content=body, headers={"content-type": "application/json"})
    assert response.status_code == 400
    assert response.json()["error"]["type"] == "invalid_request_error"


async def test_paths_methods_types_and_sizes():
    async with served() as client:
        json_type = {"content-type": "application/json"}
        found = [
            await client.get("/nowhere"),
            await client.get("/v1/models/other"),
            await client.get(CHAT),
            await client.post("/health"),
            await client.post(CHAT, content=b" " * (10 * 2**20), headers=json_type),
            await client.post(CHAT, content=b"{}", headers={"content-type": "text/plain"}),
        ]
    assert [response.status_code for response in found] == [404, 404, 405, 405, 413, 415]
    assert all(set(response.json()["error"]) == {"message", "type", "param", "code"} for response in found)
    assert found[2].headers["allow"] == "POST"


@pytest.mark.parametrize(
    ("error", "status", "code"), [(MemoryError(), 503, "out_of_memory"), (ValueError("secret"), 500, "internal")]
)
async def test_an_engine_that_fails_goes_on_with_others(error, status, code, caplog):
    async with served() as client:
        for stream in (False, True):
            client.engine.error = error
            response = await client.post(CHAT, json=chat("hi", stream=stream))
            assert (response.status_code, response.json()["error"]["code"]) == (status, code)
            assert "secret" not in response.text
        assert "ValueError" in caplog.text or "MemoryError" in caplog.text
        assert (await client.post(CHAT, json=chat("hi"))).json()["choices"][0]["message"]["content"] == "hello"


async def test_after_an_error_nothing_is_taken_for_read():
    """Where a step broke off nobody knows what the cache of the engine holds."""
    async with served(slots=1) as client:
        await client.post(CHAT, json=chat("hi"))
        usage = (await client.post(CHAT, json=chat("hi", "hello", "again"))).json()["usage"]
        assert client.engine.parts[-1] < usage["prompt_tokens"]  # a conversation goes on in its slot
        longer = chat("hi", "hello", "again", "hello", "more")
        client.engine.error = ValueError()
        assert (await client.post(CHAT, json=longer)).status_code == 500
        usage = (await client.post(CHAT, json=longer)).json()["usage"]
        assert client.engine.parts[-1] == usage["prompt_tokens"]


async def test_an_error_after_the_first_piece_is_an_event():
    async with served(timeout=0.2) as client:
        client.engine.steps_allowed(1)
        text = (await client.post(CHAT, json=chat("hi", stream=True))).text
    first, piece, error = events(text)
    assert first["choices"][0]["delta"]["role"] == "assistant"
    assert piece["choices"][0]["delta"]["content"] == "h"
    assert error["error"]["code"] == "timeout"


async def test_a_body_that_does_not_come_is_given_up(monkeypatch):
    monkeypatch.setattr(exchange, "GRACE", 0.0)
    async with served(timeout=0.05) as client:
        connection = Connection(client.app, CHAT, chat("hi"), whole=False)
        assert (await connection.next())["status"] == 408
        assert b'"timeout"' in (await connection.next())["body"]


async def test_an_answer_that_takes_too_long_is_given_up():
    async with served(timeout=0.05) as client:
        client.engine.steps_allowed(0)
        response = await client.post(CHAT, json=chat("hi"))
        assert (response.status_code, response.json()["error"]["code"]) == (503, "timeout")
        client.engine.steps_allowed(99)
        assert client.service.scheduler.waiting == 0
