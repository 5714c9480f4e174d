"""What the server says of itself; keys, origins and headers; and the page as it is sent."""

import re

import pytest

from nanochat_np.serve.assets import PAGE, paths
from tests.serve.fake import chat, served

pytestmark = pytest.mark.anyio
CHAT = "/v1/chat/completions"


async def test_models_and_health():
    async with served() as client:
        models = (await client.get("/v1/models")).json()
        one = (await client.get("/v1/models/tiny")).json()
        health = await client.get("/health")
    assert models["object"] == "list"
    assert models["data"] == [one]
    assert one == {"id": "tiny", "object": "model", "created": one["created"], "owned_by": "nanochat", "permission": []}
    assert health.json() == {"status": "healthy", "model_loaded": True}


async def test_counts():
    async with served() as client:
        await client.post(CHAT, json=chat("hi"))
        await client.post(CHAT, json=chat(""))
        stats = (await client.get("/stats")).json()
        text = (await client.get("/metrics")).text
    assert (stats["active_sessions"], stats["total_requests"], stats["generated_tokens"]) == (0, 2, 5)
    assert 'nanochat_requests_total{path="/v1/chat/completions",status="200"} 1.0' in text
    assert 'nanochat_requests_total{path="/v1/chat/completions",status="400"} 1.0' in text
    assert "nanochat_generated_tokens_total 5.0" in text
    assert "nanochat_prompt_tokens_total 6.0" in text
    assert "nanochat_first_token_seconds_count 1.0" in text


async def test_a_key_is_asked_for_where_there_is_one():
    async with served(api_key="secret") as client:
        refused = [
            await client.get("/v1/models", headers=headers)
            for headers in ({}, {"authorization": "Bearer wrong"}, {"authorization": "secret"})
        ]
        taken = await client.get("/v1/models", headers={"authorization": "Bearer secret"})
        still_open = [(await client.get(path)).status_code for path in ("/", "/app.js", "/health")]
        for path in ("/chat/completions", CHAT, "/cache/invalidate", "/stats", "/metrics"):
            assert (await client.post(path)).status_code == 401
    assert {response.status_code for response in refused} == {401}
    assert {response.json()["error"]["code"] for response in refused} == {"invalid_api_key"}
    assert (taken.status_code, still_open) == (200, [200] * 3)


async def test_other_origins_are_let_in_only_where_they_are_named():
    origin = {"origin": "https://a.example", "access-control-request-method": "POST"}
    async with served() as client:
        assert "access-control-allow-origin" not in (await client.get("/health", headers=origin)).headers
    async with served(cors_origins=("https://a.example",), api_key="secret") as client:
        asked = await client.options(CHAT, headers=origin)
        other = await client.options(CHAT, headers=origin | {"origin": "https://b.example"})
        refused = await client.get("/v1/models", headers=origin)
    assert asked.headers["access-control-allow-origin"] == "https://a.example"
    assert other.status_code == 400
    assert refused.headers["access-control-allow-origin"] == "https://a.example"  # or the page could not read the 401


async def test_the_description_knows_every_endpoint():
    async with served() as client:
        description = (await client.get("/openapi.json")).json()
        served_paths = {route.path.replace(":path", "") for route in client.app.routes}
    assert set(description["paths"]) == served_paths - paths() - {"/openapi.json"}
    request = description["components"]["schemas"]["ChatRequest"]
    assert set(request["required"]) == {"model", "messages"}
    assert request["additionalProperties"] is False


async def test_the_page_loads_nothing_from_elsewhere():
    async with served() as client:
        files = {path: await client.get(path) for path in paths()}
    assert {"/", "/app.js", "/style.css", "/logo.svg"} <= set(files)
    for path, response in files.items():
        assert response.status_code == 200
        assert "default-src 'none'" in response.headers["content-security-policy"]
        assert response.headers["x-content-type-options"] == "nosniff"
        assert not re.search(r"""(src|href|from|import|url\()\s*[=(]?\s*["']?https?://""", response.text), path
    assert files["/"].headers["content-type"].startswith("text/html")
    assert files["/logo.svg"].headers["content-type"] == "image/svg+xml"
    assert "javascript" in files["/app.js"].headers["content-type"]


def test_text_is_never_parsed_as_html():
    sources = "".join(file.read_text(encoding="utf-8") for file in PAGE.glob("*.js"))
    assert not re.search(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\b|new Function", sources)
