"""POST /v1/completions, and upstream's endpoint."""

import numpy as np
import pytest

from nanochat_np.infer.generation import Logprobs
from nanochat_np.kernels import reference_only
from nanochat_np.nn import gpt
from nanochat_np.serve import completions, scoring
from nanochat_np.serve.probabilities import Scored, completion_form, name_of
from tests.infer.tiny import CONFIG, engine, weights
from tests.serve.fake import TOKENIZER, events, served, spelled

pytestmark = pytest.mark.anyio
PATH = "/v1/completions"


def body(prompt, **fields):
    return {"model": "tiny", "prompt": prompt} | fields


@pytest.mark.parametrize(
    ("prompt", "read"),
    [
        ("ab", ["<|bos|>ab"]),
        (["a", "b"], ["<|bos|>a", "<|bos|>b"]),
        ([97, 98], ["<|bos|>ab"]),
        ([[97], [TOKENIZER.bos, 98]], ["<|bos|>a", "<|bos|>b"]),
    ],
)
async def test_prompts_of_each_kind(prompt, read):
    async with served() as client:
        answer = (await client.post(PATH, json=body(prompt))).json()
        assert client.engine.prompts == read
    assert answer["object"] == "text_completion"
    assert answer["choices"] == [
        {"index": index, "text": "hello", "logprobs": None, "finish_reason": "stop"} for index in range(len(read))
    ]
    assert answer["usage"]["completion_tokens"] == 5 * len(read)


async def test_a_stream_ends_as_openai_ends_it():
    async with served() as client:
        *chunks, done = events((await client.post(PATH, json=body("a", stream=True, max_tokens=3))).text)
    assert done == "[DONE]"
    assert "".join(chunk["choices"][0]["text"] for chunk in chunks) == "hel"
    assert [chunk["choices"][0]["finish_reason"] for chunk in chunks] == [None, None, "length"]


async def test_sixteen_tokens_unless_told_otherwise():
    async with served(lambda _: spelled("x" * 40)) as client:
        choice = (await client.post(PATH, json=body("a"))).json()["choices"][0]
    assert (len(choice["text"]), choice["finish_reason"]) == (16, "length")


def fake_scores(monkeypatch):
    def score(engine, ids, count):
        return [None, *(Logprobs(-float(token), [(token, -0.5)]) for token in ids[1:])]

    monkeypatch.setattr(completions, "score", score)


async def test_echo_with_probabilities_of_the_prompt(monkeypatch):
    fake_scores(monkeypatch)
    async with served() as client:
        choice = (await client.post(PATH, json=body("ab", echo=True, logprobs=1, max_tokens=1))).json()["choices"][0]
        begun = [TOKENIZER.bos, 97]
        told = (await client.post(PATH, json=body(begun, echo=True, logprobs=1, max_tokens=0))).json()["choices"][0]
    assert choice["text"] == "abh"
    assert choice["logprobs"]["tokens"] == ["a", "b", "h"]
    assert choice["logprobs"]["text_offset"] == [0, 1, 2]
    np.testing.assert_allclose(choice["logprobs"]["token_logprobs"], [-97, -98, 0], atol=1e-9)
    assert choice["logprobs"]["top_logprobs"][:2] == [{"a": -0.5}, {"b": -0.5}]
    assert told["text"] == "a"
    assert told["logprobs"]["tokens"] == ["<|bos|>", "a"]
    assert told["logprobs"]["token_logprobs"] == [None, -97.0]
    assert told["logprobs"]["top_logprobs"] == [None, {"a": -0.5}]
    assert told["logprobs"]["text_offset"] == [0, 0]
    assert told["finish_reason"] == "length"


async def test_who_scores_a_text_gets_as_many_tokens_as_asked_for(monkeypatch):
    """lm-eval leaves out the last of the prompt's tokens and one more."""
    fake_scores(monkeypatch)
    async with served(lambda _: []) as client:  # ends at once
        scored = (await client.post(PATH, json=body("ab", echo=True, logprobs=1, max_tokens=1))).json()["choices"][0]
        plain = (await client.post(PATH, json=body("ab", logprobs=1, max_tokens=1))).json()["choices"][0]
    assert (scored["text"], scored["logprobs"]["tokens"]) == ("ab", ["a", "b", "<|assistant_end|>"])
    assert (plain["text"], plain["logprobs"]["tokens"]) == ("", [])


async def test_the_tokenizer_over_http():
    async with served() as client:
        info = (await client.get("/tokenizer_info")).json()
        bos = (await client.post("/tokenize", json={"prompt": info["bos_token"]})).json()
        text = (await client.post("/tokenize", json={"prompt": "a<|bos|>", "add_special_tokens": True})).json()
        back = (await client.post("/detokenize", json={"tokens": [97, 98]})).json()
        wrong = await client.post("/detokenize", json={"tokens": [9999]})
    assert bos["tokens"] == [TOKENIZER.bos]
    assert text["tokens"] == [TOKENIZER.bos, *b"a<|bos|>"]
    assert back == {"prompt": "ab"}
    assert (wrong.status_code, wrong.json()["error"]["param"]) == (400, "tokens")


async def test_an_echo_in_a_stream_comes_first(monkeypatch):
    fake_scores(monkeypatch)
    async with served() as client:
        text = (await client.post(PATH, json=body("ab", echo=True, logprobs=0, stream=True, max_tokens=2))).text
    choices = [chunk["choices"][0] for chunk in events(text)[:-1]]
    assert [choice["text"] for choice in choices] == ["ab", "h", "e"]
    assert [offset for choice in choices for offset in choice["logprobs"]["text_offset"]] == [0, 1, 2, 3]


def test_half_characters_have_names_and_places():
    scored = [Scored(byte, Logprobs(-1.0, [])) for byte in "é!".encode()]
    form = completion_form(TOKENIZER, scored, 3)
    assert form["tokens"] == ["bytes:\\xc3", "bytes:\\xa9", "!"]
    assert form["text_offset"] == [3, 3, 4]
    assert name_of(TOKENIZER, TOKENIZER.bos) == "<|bos|>"


@pytest.mark.parametrize("rows", [2, 128])
def test_scores_are_those_of_the_model(rows, monkeypatch):
    monkeypatch.setattr(scoring, "ROWS", rows)
    ids = [3, 1, 4, 1, 5, 9]
    with reference_only():
        first, *rest = scoring.score(engine(), ids, 2)
        losses = gpt.losses(weights(), CONFIG, np.array([ids[:-1]]), np.array([ids[1:]]))[0]
        logits = gpt.logits(weights(), CONFIG, np.array([ids]))[0]
    assert first is None
    np.testing.assert_allclose([each.logprob for each in rest], -losses, rtol=1e-6)
    assert [each.top[0][0] for each in rest] == list(logits[:-1].argmax(-1))
    assert all(each.top[0][1] >= each.top[1][1] for each in rest)


async def test_the_protocol_of_upstreams_page():
    async with served(lambda _: spelled("1+1", "<|python_start|>", "1+1", "<|python_end|>", "🎉")) as client:
        messages = [{"role": "user", "content": "hi"}]
        response = await client.post("/chat/completions", json={"messages": messages, "top_k": 0, "max_tokens": 20})
    *pieces, done = events(response.text)
    assert done == {"done": True}
    assert {piece["gpu"] for piece in pieces} == {0}
    assert "".join(piece["token"] for piece in pieces).startswith("1+1🎉")
