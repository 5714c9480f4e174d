"""The ASGI application: which path leads where."""

import contextlib
from collections.abc import AsyncIterator

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from nanochat_np.infer.batch import Batch
from nanochat_np.infer.gpt_engine import GPTEngine
from nanochat_np.serve import assets, chat, completions, upstream
from nanochat_np.serve.about import About, not_allowed, not_found
from nanochat_np.serve.cache import Cache
from nanochat_np.serve.exchange import Exchange
from nanochat_np.serve.failure import ApiError, of
from nanochat_np.serve.guard import ApiKey, Counting
from nanochat_np.serve.protocol import ChatRequest, CompletionRequest, UpstreamRequest
from nanochat_np.serve.scheduler import Scheduler
from nanochat_np.serve.service import Service, Settings
from nanochat_np.serve.tokens import Tokens


def service_of(engine: GPTEngine, settings: Settings) -> Service:
    """What the endpoints share, for an engine that nobody else uses."""
    scheduler = Scheduler(lambda: Batch(engine), engine.slots, settings.max_queue)
    return Service(settings, engine, scheduler, Cache(int(settings.cache_mib * 2**20), settings.cache_ttl))


def application(service: Service) -> Starlette:
    """All endpoints of a service; its engine's thread runs while the application does."""
    settings = service.settings

    @contextlib.asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        service.scheduler.start()
        try:
            yield
        finally:
            service.scheduler.stop()

    routes = [*_generating(service), *_telling(service), *assets.routes()]
    paths = frozenset(route.path for route in routes if isinstance(route, Route))
    middleware = [Middleware(Counting, metrics=service.metrics, paths=paths)]
    if settings.cors_origins:
        middleware.append(
            Middleware(
                CORSMiddleware,
                allow_origins=settings.cors_origins,
                allow_methods=["GET", "POST"],
                allow_headers=["authorization", "content-type"],
                expose_headers=["x-context-dropped-messages"],
            )
        )
    if settings.api_key:
        middleware.append(Middleware(ApiKey, key=settings.api_key))
    handlers = {ApiError: _told, 404: not_found, 405: not_allowed, Exception: _told}
    return Starlette(routes=routes, middleware=middleware, exception_handlers=handlers, lifespan=lifespan)


def _generating(service: Service) -> list[BaseRoute]:
    return [
        Route("/v1/chat/completions", Exchange(service, ChatRequest, chat.respond), methods=["POST"]),
        Route("/v1/completions", Exchange(service, CompletionRequest, completions.respond), methods=["POST"]),
        Route("/chat/completions", Exchange(service, UpstreamRequest, upstream.respond), methods=["POST"]),
    ]


def _telling(service: Service) -> list[BaseRoute]:
    about, tokens = About(service), Tokens(service)
    return [
        Route("/v1/models", about.models),
        Route("/v1/models/{id:path}", about.model),
        Route("/health", about.health),
        Route("/stats", about.stats),
        Route("/metrics", about.metrics),
        Route("/openapi.json", about.openapi),
        Route("/tokenizer_info", tokens.info),
        Route("/tokenize", tokens.tokenize, methods=["POST"]),
        Route("/detokenize", tokens.detokenize, methods=["POST"]),
        Route("/cache/invalidate", about.invalidate, methods=["POST"]),
    ]


async def _told(_: Request, error: Exception) -> Response:
    return of(error).response()
