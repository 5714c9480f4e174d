"""``serve``: a model over HTTP."""

import importlib.util
import os
from pathlib import Path

import msgspec

from nanochat_np import kernels
from nanochat_np.backend.device import select_device
from nanochat_np.backend.products import require_products
from nanochat_np.command_line.console import tell
from nanochat_np.config import ServeConfig
from nanochat_np.errors import CheckpointError, ConfigError
from nanochat_np.train import checkpoint
from nanochat_np.train.interrupts import stop_at_once
from nanochat_np.train.locate import locate, newest_run
from nanochat_np.train.meta import GPTMeta

NEEDED = ("starlette", "uvicorn", "prometheus_client")


class ServeSummary(msgspec.Struct, frozen=True, kw_only=True):
    """What was served, until it was stopped."""

    command: str = "serve"
    schema: int = 1
    checkpoint: str
    model: str
    device: str
    url: str
    workers: int


def run(config: ServeConfig, given: frozenset[str]) -> ServeSummary:
    """Serve until Ctrl-C or SIGTERM.  The model is found and the port taken before anything is loaded."""
    if any(importlib.util.find_spec(name) is None for name in NEEDED):
        raise ConfigError("serve needs packages that are not installed: pip install 'nanochat-np[serve]'")
    from nanochat_np.serve.server import Loader, bound, serve
    from nanochat_np.serve.service import Settings

    device = select_device(config.device)
    require_products(config.dtype, device.index is not None)
    folder = locate(Path(config.checkpoint) if config.checkpoint else newest_run(Path("results")))
    meta = checkpoint.read_meta(folder)
    if not isinstance(meta, GPTMeta):
        raise CheckpointError(f"{folder}: holds a model of the character lab: name a run of pretrain")
    settings = Settings(
        model=config.model_name or f"nanochat-d{meta.model.n_layer}",
        weights=meta.files[checkpoint.MODEL].sha256 if checkpoint.MODEL in meta.files else "",
        timeout=config.timeout,
        api_key=config.api_key or os.environ.get("NANOCHAT_NP_API_KEY"),
        cors_origins=config.cors_origin,
        max_queue=config.max_queue,
        cache_mib=config.cache_mib,
        cache_ttl=config.cache_ttl,
    )
    with stop_at_once(), bound(config.host, config.port) as listener:
        host, port = listener.getsockname()[:2]
        url = f"http://{f'[{host}]' if ':' in host else host}:{port}"
        note = (lambda text: None) if config.quiet else tell
        if not meta.converses:
            note(f"(a model after {meta.stage} has not learnt to converse: it continues what it reads)")
        if device.index is None and kernels.are_cold():
            note("compiling the loops, once on this machine: some seconds")
        loader = Loader(folder, device.name, config.slots, config.dtype, config.quantize, settings)
        ready = f"serving {settings.model} of {folder} on {device.name}: {url}  (Ctrl-C stops)"
        serve(loader, listener, config.workers, lambda: note(ready))
    return ServeSummary(
        checkpoint=str(folder),
        model=settings.model,
        device=device.name,
        url=url,
        workers=config.workers,
    )
