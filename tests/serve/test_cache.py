"""Answers are kept where the same request would get the same again, and only there."""

import pytest

from nanochat_np.serve.cache import Cache
from tests.serve.fake import chat, events, served

pytestmark = pytest.mark.anyio
PATH = "/v1/chat/completions"


@pytest.mark.parametrize(
    ("fields", "computed"),
    [({"temperature": 0}, 1), ({"seed": 1}, 1), ({"temperature": 0.5}, 2), ({}, 2), ({"top_k": 1}, 2)],
)
async def test_only_deterministic_requests_are_kept(fields, computed):
    async with served() as client:
        first = (await client.post(PATH, json=chat("hi", **fields))).json()
        again = (await client.post(PATH, json=chat("hi", user="x", **fields))).json()
        assert len(client.engine.prompts) == computed
        stats = (await client.get("/stats")).json()
    assert again["choices"] == first["choices"]
    assert again["usage"] == first["usage"]
    assert (stats["cache_hits"], stats["cache_misses"]) == ((1, 1) if computed == 1 else (0, 0))


async def test_a_stream_and_an_object_are_one_answer():
    async with served() as client:
        whole = (await client.post(PATH, json=chat("hi", seed=3, n=2))).json()
        chunks = events((await client.post(PATH, json=chat("hi", seed=3, n=2, stream=True))).text)[:-1]
        assert len(client.engine.prompts) == 1  # of two samples the prompt is read once
    for choice in whole["choices"]:
        own = [c["choices"][0] for c in chunks if c["choices"][0]["index"] == choice["index"]]
        assert "".join(c["delta"].get("content", "") for c in own) == choice["message"]["content"]
        assert own[-1]["finish_reason"] == choice["finish_reason"]


async def test_the_order_of_a_request_does_not_matter():
    bias = {"97": -1.0, "5": 2}
    async with served() as client:
        await client.post(PATH, json=chat("hi", temperature=0, top_k=5, logit_bias=bias))
        again = chat("hi", logit_bias=dict(reversed(bias.items())), top_k=5, temperature=0.0)
        await client.post(PATH, json=dict(reversed(again.items())))
        assert len(client.engine.prompts) == 1


@pytest.mark.parametrize("change", [{"max_tokens": 3}, {"stop": "x"}, {"messages": [{"role": "user", "content": "a"}]}])
async def test_other_requests_have_answers_of_their_own(change):
    async with served() as client:
        await client.post(PATH, json=chat("hi", temperature=0))
        await client.post(PATH, json=chat("hi", temperature=0) | change)
        assert len(client.engine.prompts) == 2


async def test_answers_are_forgotten_by_pattern():
    async with served() as client:
        for text in ("the capital of France", "the capital of Peru", "hello"):
            await client.post(PATH, json=chat(text, temperature=0))
        counts = [
            (await client.post("/cache/invalidate", json={"pattern": pattern})).json()["invalidated_count"]
            for pattern in ("*capital of F*", "*nothing*", None)
        ]
        assert counts == [1, 0, 2]
        assert (await client.post("/cache/invalidate")).json() == {"invalidated_count": 0}
        wrong = await client.post("/cache/invalidate", json={"patern": "x"})
    assert (wrong.status_code, wrong.json()["error"]["param"]) == (400, "patern")


def test_what_was_not_asked_for_the_longest_goes_first():
    cache = Cache(room=30, ttl=10, clock=lambda: 0.0)
    for key in "abc":
        cache.put(key, key, 9)
    assert cache.get("a") == "a"
    cache.put("d", "d", 9)
    assert [cache.get(key) for key in "abcd"] == ["a", None, "c", "d"]
    cache.put("e", "e", 31)  # more than there is room for
    assert (len(cache), cache.used) == (0, 0)


def test_what_is_too_old_is_gone():
    now = 0.0
    cache = Cache(room=100, ttl=10, clock=lambda: now)
    cache.put("a", "a", 1)
    now = 9.0
    assert cache.get("a") == "a"
    now = 10.0
    assert cache.get("a") is None
    assert (len(cache), cache.hits, cache.misses) == (0, 1, 1)


def test_without_a_key_nothing_is_kept():
    cache = Cache(room=100, ttl=10)
    cache.put(None, "a", 1)
    assert (cache.get(None), cache.misses) == (None, 0)
