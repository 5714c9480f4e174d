"""A request that is answered by generating: its body, its time, and what happens when the client goes away."""

import asyncio
import contextlib
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Coroutine
from typing import Any, Generic, TypeVar

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from nanochat_np.serve import body
from nanochat_np.serve.failure import ApiError
from nanochat_np.serve.service import Service

GRACE = 5.0  # seconds after the deadline of an answer, to tell the client of it

R = TypeVar("R", bound=msgspec.Struct)


class Exchange(Generic[R]):
    """An ASGI application: the body as ``record`` goes to ``respond``, with the deadline on the event loop's clock.

    A client that goes away ends everything, and so does one that neither sends nor takes its bytes in time.
    """

    def __init__(
        self, service: Service, record: type[R], respond: Callable[[Service, R, float], Awaitable[Response]]
    ) -> None:
        self._service, self._record, self._respond = service, record, respond

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        begun = False

        async def noted(message: Any) -> None:
            nonlocal begun
            begun = True
            await send(message)

        deadline = asyncio.get_running_loop().time() + self._service.settings.timeout
        try:
            async with asyncio.timeout_at(deadline + GRACE):
                record = body.decode(await body.read(Request(scope, receive)), self._record)
                await _while_connected(receive, self._answered(record, deadline, scope, receive, noted))
        except TimeoutError:
            if not begun:
                raise ApiError(408, "the request did not arrive in time", code="timeout") from None

    async def _answered(self, record: R, deadline: float, scope: Scope, receive: Receive, send: Send) -> None:
        response = await self._respond(self._service, record, deadline)
        await response(scope, receive, send)


async def _while_connected(receive: Receive, work: Coroutine[Any, Any, None]) -> None:
    """Do some work until it is done or the client has gone."""

    async def gone() -> None:
        while (await receive())["type"] != "http.disconnect":
            pass

    task, watch = asyncio.ensure_future(work), asyncio.ensure_future(gone())
    try:
        await asyncio.wait((task, watch), return_when=asyncio.FIRST_COMPLETED)
        if task.done():
            await task
    finally:
        for each in (task, watch):
            each.cancel()
            with contextlib.suppress(asyncio.CancelledError, Exception):
                await each


class EventStream(Response):
    """Server-sent events: ``data: ...`` and an empty line each.

    An error after the first of them is an event too, for the status has gone out.
    """

    media_type = "text/event-stream"

    def __init__(self, events: AsyncGenerator[bytes, None], headers: dict[str, str]) -> None:
        self._events = events
        self.status_code = 200
        self.background = None
        self.init_headers({"cache-control": "no-cache", "x-accel-buffering": "no"} | headers)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async with contextlib.aclosing(self._events):
            await send({"type": "http.response.start", "status": 200, "headers": self.raw_headers})
            try:
                async for data in self._events:
                    await send({"type": "http.response.body", "body": data, "more_body": True})
            except ApiError as error:
                await send({"type": "http.response.body", "body": event(error.envelope), "more_body": True})
            await send({"type": "http.response.body", "body": b"", "more_body": False})


def event(content: Any) -> bytes:
    """A server-sent event of something as JSON, which has no line breaks."""
    return b"data: " + msgspec.json.encode(content) + b"\n\n"


def now() -> int:
    """Seconds since 1970."""
    return int(time.time())
