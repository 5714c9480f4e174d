"""What a client is told of an error: a status, and OpenAI's envelope."""

import msgspec
from starlette.responses import Response

from nanochat_np.errors import NanochatError


class ApiError(Exception):
    """A request that cannot be answered: HTTP ``status``, and what the envelope says."""

    def __init__(self, status: int, message: str, param: str | None = None, code: str | None = None) -> None:
        super().__init__(message)
        self.status, self.message, self.param, self.code = status, message, param, code

    @property
    def type(self) -> str:
        """OpenAI's word for the kind of error."""
        kinds = {401: "authentication_error", 404: "not_found_error", 429: "rate_limit_error"}
        return kinds.get(self.status, "invalid_request_error" if self.status < 500 else "server_error")

    @property
    def envelope(self) -> dict[str, dict[str, str | None]]:
        """``{"error": {"message", "type", "param", "code"}}``."""
        return {"error": {"message": self.message, "type": self.type, "param": self.param, "code": self.code}}

    def response(self) -> Response:
        """The envelope with its status, and for those who should come again a hint when."""
        headers = {429: {"retry-after": "1"}, 401: {"www-authenticate": "Bearer"}}.get(self.status)
        return Response(msgspec.json.encode(self.envelope), self.status, headers, "application/json")


def of(error: BaseException) -> ApiError:
    """What a client is told of an error inside the engine."""
    match error:
        case ApiError():
            return error
        case MemoryError():
            message = "the server ran out of memory: send a shorter prompt, or try again when it is less busy"
            return ApiError(503, message, code="out_of_memory")
        case NanochatError():
            return ApiError(400, " ".join(str(error).split()))
    return ApiError(500, "the model failed to compute this answer; the server's log has the details", code="internal")
