"""POST /v1/chat/completions: both modes, byte by byte, and what a request may ask for."""

import json

import pytest

from nanochat_np.serve.protocol import ChatRequest
from tests.serve.fake import CONTEXT, TOKENIZER, Connection, chat, events, served, spelled

pytestmark = pytest.mark.anyio
PATH = "/v1/chat/completions"

TOOL = spelled(
    "It is ", "<|python_start|>", "12*34", "<|python_end|>", "<|output_start|>", "408", "<|output_end|>", "."
)


async def test_the_answer_as_one_object():
    async with served() as client:
        response = await client.post(PATH, json=chat("hi"))
    assert response.status_code == 200
    assert response.headers["content-type"] == "application/json"
    answer = response.json()
    assert answer.pop("id").startswith("chatcmpl-")
    assert answer.pop("created") > 1.7e9
    assert answer == {
        "object": "chat.completion",
        "model": "tiny",
        "choices": [
            {
                "index": 0,
                "message": {"role": "assistant", "content": "hello"},
                "logprobs": None,
                "finish_reason": "stop",
            }
        ],
        "usage": {"prompt_tokens": 6, "completion_tokens": 5, "total_tokens": 11},
    }


async def test_the_bytes_of_a_stream():
    async with served(lambda _: spelled("ab")) as client:
        response = await client.post(PATH, json=chat("hi", stream=True))
    assert response.headers["content-type"] == "text/event-stream; charset=utf-8"
    head = json.loads(response.text.split("\n")[0][6:])
    same = f'"id":"{head["id"]}","object":"chat.completion.chunk","created":{head["created"]},"model":"tiny"'
    deltas = ['{"role":"assistant","content":""}', '{"content":"a"}', '{"content":"b"}', "{}"]
    ends = ["null", "null", "null", '"stop"']
    chunks = [
        f'data: {{{same},"choices":[{{"index":0,"delta":{delta},"logprobs":null,"finish_reason":{end}}}]}}\n\n'
        for delta, end in zip(deltas, ends, strict=True)
    ]
    assert response.text == "".join(chunks) + "data: [DONE]\n\n"


async def test_a_stream_brings_each_piece_when_it_is_there():
    async with served(lambda _: spelled("ab")) as client:
        client.engine.steps_allowed(1)
        connection = Connection(client.app, PATH, chat("hi", stream=True))
        assert (await connection.next())["type"] == "http.response.start"
        assert b'"role"' in (await connection.next())["body"]
        assert b'"content":"a"' in (await connection.next())["body"]
        assert connection.sent.empty()
        client.engine.steps_allowed(99)
        assert b'"content":"b"' in (await connection.next())["body"]


async def test_usage_of_a_stream_comes_last():
    async with served() as client:
        text = (await client.post(PATH, json=chat("hi", stream=True, stream_options={"include_usage": True}))).text
    *chunks, last, done = events(text)
    assert done == "[DONE]"
    assert all(chunk["usage"] is None for chunk in chunks)
    assert last["choices"] == []
    assert last["usage"] == {"prompt_tokens": 6, "completion_tokens": 5, "total_tokens": 11}


async def test_several_answers():
    async with served(slots=2) as client:
        choices = (await client.post(PATH, json=chat("hi", n=5))).json()["choices"]
        streamed = events((await client.post(PATH, json=chat("hi", n=3, stream=True))).text)
    assert [(choice["index"], choice["message"]["content"]) for choice in choices] == [(i, "hello") for i in range(5)]
    texts = ["", "", ""]
    for chunk in streamed[:-1]:
        for choice in chunk["choices"]:
            texts[choice["index"]] += choice["delta"].get("content", "")
    assert texts == ["hello"] * 3


@pytest.mark.parametrize("stop", ["lo", ["zz", "lo", "o"]])
async def test_stop_strings_are_not_shown(stop):
    async with served(lambda _: spelled("hello, I go on")) as client:
        answer = (await client.post(PATH, json=chat("hi", stop=stop))).json()
        text = (await client.post(PATH, json=chat("hi", stop=stop, stream=True))).text
    assert answer["choices"][0]["message"]["content"] == "hel"
    assert answer["choices"][0]["finish_reason"] == "stop"
    assert answer["usage"]["completion_tokens"] == 5
    assert "".join(c["choices"][0]["delta"].get("content", "") for c in events(text)[:-1]) == "hel"


@pytest.mark.parametrize("name", ["max_tokens", "max_completion_tokens"])
async def test_the_answer_ends_at_its_length(name):
    async with served() as client:
        choice = (await client.post(PATH, json=chat("hi", **{name: 3}))).json()["choices"][0]
    assert (choice["message"]["content"], choice["finish_reason"]) == ("hel", "length")


async def test_calls_of_the_tool_are_told_apart():
    async with served(lambda _: TOOL) as client:
        message = (await client.post(PATH, json=chat("hi"))).json()["choices"][0]["message"]
        text = (await client.post(PATH, json=chat("hi", stream=True))).text
    assert message["content"] == "It is ."
    parts = [("text", "It is "), ("python", "12*34"), ("python_output", "408"), ("text", ".")]
    assert [(part["type"], part["text"]) for part in message["nanochat"]["parts"]] == parts
    deltas = [chunk["choices"][0]["delta"] for chunk in events(text)[:-1]]
    assert "".join(delta.get("content", "") for delta in deltas) == "It is ."
    assert [delta["nanochat"] for delta in deltas if "nanochat" in delta] == [
        {"python": "12*34"},
        {"python_output": "408"},
    ]
    assert "<|" not in text


async def test_earlier_calls_of_the_tool_may_be_sent_back():
    parts = [{"type": "python", "text": "1+1"}, {"type": "python_output", "text": "2"}, {"type": "text", "text": "2."}]
    async with served() as client:
        await client.post(PATH, json=chat("a", parts, "b"))
        assert client.engine.prompts[-1].endswith(
            "<|assistant_start|><|python_start|>1+1<|python_end|><|output_start|>2<|output_end|>2.<|assistant_end|>"
            "<|user_start|>b<|user_end|><|assistant_start|>"
        )


async def test_characters_come_whole():
    async with served(lambda _: spelled("a🎉é")) as client:  # a token is a byte
        chunks = events((await client.post(PATH, json=chat("hi", stream=True))).text)[:-1]
    assert [chunk["choices"][0]["delta"].get("content") for chunk in chunks] == ["", "a", "🎉", "é", None]


async def test_control_tokens_typed_by_the_user_are_text():
    async with served() as client:
        answer = (await client.post(PATH, json=chat("<|assistant_end|>"))).json()
    assert answer["usage"]["prompt_tokens"] == 4 + len("<|assistant_end|>")


async def test_logprobs_of_text():
    async with served(lambda _: TOOL) as client:
        body = chat("hi", logprobs=True, top_logprobs=2)
        content = (await client.post(PATH, json=body)).json()["choices"][0]["logprobs"]["content"]
        streamed = events((await client.post(PATH, json=body | {"stream": True})).text)[:-1]
    assert "".join(entry["token"] for entry in content) == "It is ."
    assert content[0] == {
        "token": "I",
        "logprob": pytest.approx(0, abs=1e-9),
        "bytes": [73],
        "top_logprobs": [
            {"token": "I", "logprob": pytest.approx(0, abs=1e-9), "bytes": [73]},
            {"token": "\0", "logprob": pytest.approx(-60), "bytes": [0]},
        ],
    }
    told = [c["choices"][0]["logprobs"] for c in streamed if c["choices"][0]["logprobs"]]
    assert [entry for logprobs in told for entry in logprobs["content"]] == content


async def test_how_tokens_are_chosen_reaches_the_engine(monkeypatch):
    from nanochat_np.serve import plan

    async with served() as client:
        record = ChatRequest(
            model="tiny",
            messages=[],
            temperature=0.5,
            top_p=0.0,
            top_k=7,
            min_p=0.1,
            seed=-3,
            presence_penalty=1.0,
            frequency_penalty=-1.0,
            repetition_penalty=1.5,
            logit_bias={5: 2.0},
        )
        found = plan.sampling(record, TOKENIZER, 9, None)
        free = plan.sampling(ChatRequest(model="tiny", messages=[]), TOKENIZER, 9, None)
        assert client.service.context == CONTEXT
    assert (found.temperature, found.top_k, found.top_p, found.min_p, found.seed) == (0.5, 1, 1.0, 0.1, -3)
    assert (found.presence_penalty, found.frequency_penalty, found.repetition_penalty) == (1.0, -1.0, 1.5)
    assert (found.logit_bias, found.max_tokens) == ({5: 2.0}, 9)
    assert (free.temperature, free.top_k, free.top_p) == (1.0, 0, 1.0)
    assert free.seed != plan.sampling(ChatRequest(model="tiny", messages=[]), TOKENIZER, 9, None).seed
