"""The server."""

from typing import Annotated

from msgspec import Meta

from nanochat_np.config.common import Common, DeviceName, Folder, Positive, Products, Quantize, spelled_out


class ServeModel(Common, frozen=True, kw_only=True):
    """Model."""

    checkpoint: Annotated[
        Folder | None, Meta(description="folder of a run or of a checkpoint (default: the newest run under results/)")
    ] = None
    model_name: Annotated[Folder | None, Meta(description="name that clients use (default: nanochat-dLAYERS)")] = None
    device: DeviceName = "auto"
    dtype: Products = "float32"
    quantize: Quantize = "float32"
    slots: Annotated[int, Meta(ge=1, le=1024, description="answers that are written at a time, by each worker")] = 16

    def __post_init__(self) -> None:
        spelled_out(self)


class ServeLimits(ServeModel, frozen=True, kw_only=True):
    """Limits."""

    max_queue: Annotated[int, Meta(ge=1, description="requests that may wait; one more is told 429")] = 256
    timeout: Annotated[float, Meta(gt=0, le=86400, description="seconds that an answer may take, waiting included")] = (
        600.0
    )
    cache_mib: Annotated[float, Meta(ge=0, description="memory for answers to repeated deterministic requests")] = 64.0
    cache_ttl: Annotated[float, Meta(ge=0, description="seconds to keep them")] = 3600.0


class ServeConfig(ServeLimits, frozen=True, kw_only=True):
    """Serve a model over HTTP: OpenAI's protocol, upstream's, and a page to chat on.

    Examples:
      python -m nanochat_np serve --checkpoint results/my_run
      python -m nanochat_np serve --host 0.0.0.0 --port 8080 --api-key SECRET --cors-origin https://example.org
    """

    host: Annotated[Folder, Meta(description="address to listen on; 0.0.0.0 is all of this machine")] = "127.0.0.1"
    port: Annotated[int, Meta(ge=0, le=65535, description="port to listen on; 0 is any that is free")] = 8000
    api_key: Annotated[
        Folder | None, Meta(description="key that clients have to send (default: $NANOCHAT_NP_API_KEY, or none)")
    ] = None
    cors_origin: Annotated[
        tuple[str, ...], Meta(description="origins whose pages may use the server, separated by commas; * is all")
    ] = ()
    workers: Annotated[Positive, Meta(le=64, description="processes that share the port, each with the model")] = 1
