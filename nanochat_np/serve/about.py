"""What the server says of itself, and the cache that can be told to forget."""

import os
from typing import Any

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from nanochat_np.serve import body
from nanochat_np.serve.failure import ApiError
from nanochat_np.serve.openapi import description
from nanochat_np.serve.protocol import InvalidateRequest
from nanochat_np.serve.service import Service


class About:
    """Endpoints that generate nothing."""

    def __init__(self, service: Service) -> None:
        self._service = service

    async def models(self, _: Request) -> Response:
        """GET /v1/models."""
        return _json({"object": "list", "data": [self._model()]})

    async def model(self, request: Request) -> Response:
        """GET /v1/models/{id}."""
        self._service.require_model(request.path_params["id"])
        return _json(self._model())

    async def health(self, _: Request) -> Response:
        """GET /health: 503 where the engine's thread has ended."""
        alive = self._service.scheduler.alive
        return _json({"status": "healthy" if alive else "unhealthy", "model_loaded": alive}, 200 if alive else 503)

    async def stats(self, _: Request) -> Response:
        """GET /stats."""
        service, scheduler = self._service, self._service.scheduler
        return _json(
            {
                "active_sessions": scheduler.active,
                "total_requests": service.metrics.answered,
                "cache_hits": service.cache.hits,
                "cache_misses": service.cache.misses,
                "cache_entries": len(service.cache),
                "waiting_requests": scheduler.waiting,
                "slots": scheduler.slots,
                "max_queue": scheduler.max_queue,
                "generated_tokens": scheduler.generated,
                "context": service.context,
                "process": os.getpid(),  # each of several workers counts its own
            }
        )

    async def metrics(self, _: Request) -> Response:
        """GET /metrics."""
        service, metrics = self._service, self._service.metrics
        metrics.active.set(service.scheduler.active)
        metrics.waiting.set(service.scheduler.waiting)
        metrics.cache_hits.set(service.cache.hits)
        metrics.cache_misses.set(service.cache.misses)
        return Response(metrics.text(), media_type="text/plain; version=0.0.4; charset=utf-8")

    async def invalidate(self, request: Request) -> Response:
        """POST /cache/invalidate: the body may be left out."""
        pattern = None
        if request.headers.get("content-length", "0") != "0" or "transfer-encoding" in request.headers:
            pattern = body.decode(await body.read(request), InvalidateRequest).pattern
        return _json({"invalidated_count": self._service.cache.invalidate(pattern)})

    async def openapi(self, _: Request) -> Response:
        """GET /openapi.json."""
        return _json(description(self._service.settings.model))

    def _model(self) -> dict[str, Any]:
        service = self._service
        return {
            "id": service.settings.model,
            "object": "model",
            "created": service.created,
            "owned_by": "nanochat",
            "permission": [],
        }


def _json(content: Any, status: int = 200) -> Response:
    return Response(msgspec.json.encode(content), status, media_type="application/json")


async def not_found(request: Request, _: Exception) -> Response:
    """404 in the envelope."""
    return ApiError(404, f"there is nothing at {request.url.path}", code="not_found").response()


async def not_allowed(request: Request, error: Exception) -> Response:
    """405 in the envelope, with what is allowed."""
    message = f"{request.method} is not allowed at {request.url.path}"
    response = ApiError(405, message, code="method_not_allowed").response()
    response.headers.update(getattr(error, "headers", None) or {})
    return response
