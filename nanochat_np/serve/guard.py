"""What stands before the endpoints: the API key, the security headers, and the counting."""

import hmac
import time
from typing import Any

from starlette.types import ASGIApp, Receive, Scope, Send

from nanochat_np.serve import assets
from nanochat_np.serve.failure import ApiError
from nanochat_np.serve.metrics import Metrics

# What a browser needs before it can ask for a key, and what a supervisor asks.
OPEN = assets.paths() | {"/health", "/openapi.json"}

SECURITY = [
    (
        b"content-security-policy",
        b"default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
        b"base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    ),
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
]


class ApiKey:
    """Middleware: ``Authorization: Bearer KEY``, or 401."""

    def __init__(self, app: ASGIApp, key: str) -> None:
        self._app, self._expected = app, f"Bearer {key}".encode()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["path"] not in OPEN:
            given = dict(scope["headers"]).get(b"authorization", b"")
            if not hmac.compare_digest(given, self._expected):
                message = "this server wants an API key: send the header Authorization: Bearer KEY"
                await ApiError(401, message, code="invalid_api_key").response()(scope, receive, send)
                return
        await self._app(scope, receive, send)


class Counting:
    """Middleware: security headers on every response, and counts and times of requests by path and status."""

    def __init__(self, app: ASGIApp, metrics: Metrics, paths: frozenset[str]) -> None:
        self._app, self._metrics, self._paths = app, metrics, paths

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started, status = time.perf_counter(), "499"  # the client went away before a response began

        async def counted(message: Any) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = str(message["status"])
                message["headers"] = [*message["headers"], *SECURITY]
            await send(message)

        try:
            await self._app(scope, receive, counted)
        finally:
            path = scope["path"] if scope["path"] in self._paths else "other"
            self._metrics.request(path, status, time.perf_counter() - started)
