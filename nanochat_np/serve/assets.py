"""The page: files that are sent as they are."""

from pathlib import Path

from starlette.requests import Request
from starlette.responses import FileResponse, Response
from starlette.routing import BaseRoute, Route

PAGE = Path(__file__).parent / "page"
INDEX = "index.html"


def paths() -> frozenset[str]:
    """Where the page's files are served."""
    return frozenset("/" if file.name == INDEX else f"/{file.name}" for file in PAGE.iterdir())


def routes() -> list[BaseRoute]:
    """A route for each file."""

    def route(path: str) -> Route:
        async def send(_: Request) -> Response:
            return FileResponse(PAGE / (path[1:] or INDEX), headers={"cache-control": "no-cache"})

        return Route(path, send)

    return [route(path) for path in sorted(paths())]
