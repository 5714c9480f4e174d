"""What the endpoints share."""

import asyncio
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, TypeVar

import msgspec

from nanochat_np.infer.gpt_engine import GPTEngine
from nanochat_np.serve.cache import Cache
from nanochat_np.serve.failure import ApiError
from nanochat_np.serve.metrics import Metrics
from nanochat_np.serve.protocol import Request
from nanochat_np.serve.scheduler import Scheduler
from nanochat_np.text.bpe import BpeTokenizer

T = TypeVar("T")

# Of a request, what does not decide about its answer.
_ASIDE = ("stream", "stream_options", "user")


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """``model`` is the name that clients use; ``weights`` tells models of that name apart; ``timeout`` in seconds."""

    model: str
    weights: str = ""
    timeout: float = 600.0
    api_key: str | None = None
    cors_origins: tuple[str, ...] = ()
    max_queue: int = 256
    cache_mib: float = 64.0
    cache_ttl: float = 3600.0


@dataclass
class Service:
    """An engine behind its queue, and what is remembered of requests."""

    settings: Settings
    engine: GPTEngine
    scheduler: Scheduler
    cache: Cache[list[Any]]
    metrics: Metrics = field(default_factory=Metrics)
    created: int = field(default_factory=lambda: int(time.time()))
    _preparing: ThreadPoolExecutor = field(default_factory=lambda: ThreadPoolExecutor(2, "prepare"))

    @property
    def tokenizer(self) -> BpeTokenizer:
        """Of the model."""
        return self.engine.tokenizer

    @property
    def context(self) -> int:
        """Tokens of prompt and answer together."""
        return self.engine.config.sequence_len

    def require_model(self, name: str) -> None:
        """Raise ApiError 404 for a model that is not here."""
        if name != self.settings.model:
            message = f"there is no model {name!r} here, only {self.settings.model!r}"
            raise ApiError(404, message, "model", "model_not_found")

    async def prepared(self, function: Callable[..., T], *arguments: Any) -> T:
        """Run what may take a while, such as encoding a long prompt, without keeping others waiting."""
        return await asyncio.get_running_loop().run_in_executor(self._preparing, function, *arguments)

    def key(self, request: Request) -> str:
        """The same for requests that ask for the same of this model: their fields as JSON, defaults left out."""
        fields = msgspec.to_builtins(request, str_keys=True)
        asked = {name: value for name, value in fields.items() if value is not None and name not in _ASIDE}
        return f"{type(request).__name__} {self.settings.weights} {msgspec.json.encode(asked, order='sorted').decode()}"
