"""The OpenAPI description, made from the records of the requests."""

from typing import Any

import msgspec

import nanochat_np
from nanochat_np.serve.protocol import (
    ChatRequest,
    CompletionRequest,
    DetokenizeRequest,
    InvalidateRequest,
    TokenizeRequest,
    UpstreamRequest,
)

_JSON, _EVENTS, _TEXT = "application/json", "text/event-stream", "text/plain"
_REQUESTS = {
    "/v1/chat/completions": (ChatRequest, "Answer a conversation"),
    "/v1/completions": (CompletionRequest, "Go on with a text"),
    "/chat/completions": (UpstreamRequest, "Answer a conversation, in upstream's protocol"),
    "/cache/invalidate": (InvalidateRequest, "Forget answers"),
    "/tokenize": (TokenizeRequest, "Tokens of a text"),
    "/detokenize": (DetokenizeRequest, "Text of tokens"),
}
_STREAMS = {
    "/v1/chat/completions": [_JSON, _EVENTS],
    "/v1/completions": [_JSON, _EVENTS],
    "/chat/completions": [_EVENTS],
}
_ASKED = {
    "/v1/models": ("The models", _JSON),
    "/v1/models/{id}": ("One model", _JSON),
    "/health": ("Whether the engine works", _JSON),
    "/stats": ("Counts", _JSON),
    "/tokenizer_info": ("Control tokens", _JSON),
    "/metrics": ("Counts for Prometheus", _TEXT),
}
_ERRORS = {
    "400": "the request is wrong",
    "401": "the API key is missing or wrong",
    "404": "there is no such model",
    "408": "the request did not arrive in time",
    "413": "the body is too long",
    "415": "the body is not JSON",
    "429": "too many requests wait",
    "500": "the model failed",
    "503": "out of memory, out of time, or shutting down",
}
_ERROR = {
    "type": "object",
    "required": ["error"],
    "properties": {
        "error": {
            "type": "object",
            "required": ["message", "type", "param", "code"],
            "properties": {
                "message": {"type": "string"},
                "type": {"type": "string"},
                "param": {"type": ["string", "null"]},
                "code": {"type": ["string", "null"]},
            },
        }
    },
}


def description(model: str) -> dict[str, Any]:
    """OpenAPI 3.1 of all endpoints but those of the page."""
    records = [record for record, _ in _REQUESTS.values()]
    schemas, components = msgspec.json.schema_components(records, ref_template="#/components/schemas/{name}")
    for name in ("ChatRequest", "CompletionRequest"):
        components[name]["properties"]["model"]["examples"] = [model]
    paths: dict[str, Any] = {}
    for (path, (_, summary)), schema in zip(_REQUESTS.items(), schemas, strict=True):
        kinds = _STREAMS.get(path, [_JSON])
        body = {"required": path != "/cache/invalidate", "content": {_JSON: {"schema": schema}}}
        paths[path] = {"post": {"summary": summary, "requestBody": body, "responses": _responses(kinds)}}
    for path, (summary, kind) in _ASKED.items():
        operation: dict[str, Any] = {"summary": summary, "responses": _responses([kind])}
        if "{id}" in path:
            operation["parameters"] = [
                {"name": "id", "in": "path", "required": True, "schema": {"type": "string", "examples": [model]}}
            ]
        paths[path] = {"get": operation}
    return {
        "openapi": "3.1.0",
        "info": {"title": "nanochat_np", "version": nanochat_np.__version__},
        "paths": paths,
        "components": {
            "schemas": {**components, "Error": _ERROR},
            "securitySchemes": {"key": {"type": "http", "scheme": "bearer"}},
        },
        "security": [{}, {"key": []}],
    }


def _responses(kinds: list[str]) -> dict[str, Any]:
    error = {_JSON: {"schema": {"$ref": "#/components/schemas/Error"}}}
    return {
        "200": {"description": "the answer", "content": {kind: {} for kind in kinds}},
        **{status: {"description": text, "content": error} for status, text in _ERRORS.items()},
    }
