"""The body of a request: read up to a limit, decoded to its record, refused by the name of the field."""

import re
from typing import TypeVar

import msgspec
from starlette.requests import ClientDisconnect, Request

from nanochat_np.serve.failure import ApiError

MAX_BYTES = 2 * 2**20
DRAINED = 64 * 2**20  # a client hears the answer only once it has sent all: so what is too long is read, and forgotten

R = TypeVar("R", bound=msgspec.Struct)

_PLACE = re.compile(r" - at (?:`key` in )?`\$\.?(?P<path>[^`]*)`$")
_FIELD = re.compile(r"(?:unknown|required) field `(?P<name>[^`]*)`")


async def read(request: Request) -> bytes:
    """The bytes of the body.  Raises ApiError 413 where they are more than MAX_BYTES, 415 where they are not JSON."""
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != "application/json":
        raise ApiError(415, "the body must be JSON, and the header content-type must say application/json")
    body, size = bytearray(), 0
    try:
        async for chunk in request.stream():
            size += len(chunk)
            if size <= MAX_BYTES:
                body += chunk
            elif size > DRAINED:
                break
    except ClientDisconnect:
        raise ApiError(400, "the body ended early") from None
    if size > MAX_BYTES:
        raise ApiError(413, f"the body is longer than {MAX_BYTES} bytes", code="request_too_large")
    return bytes(body)


def decode(body: bytes, record: type[R]) -> R:
    """The record of a body.  Raises ApiError 400 that names the field."""
    try:
        return msgspec.json.decode(body, type=record)
    except msgspec.ValidationError as error:
        message = str(error)
        raise ApiError(400, message, _param(message), "invalid_value") from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise ApiError(400, f"the body is not JSON: {error}", code="invalid_json") from None


def _param(message: str) -> str | None:
    """``messages[0].content`` of msgspec's message."""
    place, field = _PLACE.search(message), _FIELD.search(message)
    path = re.sub(r"\[\.\.\.\]", "", place["path"]) if place else ""
    return ".".join(filter(None, (path, field["name"] if field else ""))) or None
