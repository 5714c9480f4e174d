"""Processes and sockets: the application behind uvicorn, in this process or in several that share one port."""

import contextlib
import logging
import os
import signal
import socket
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import FrameType

import uvicorn
from starlette.applications import Starlette
from uvicorn.config import STARTUP_FAILURE
from uvicorn.supervisors import Multiprocess

from nanochat_np import kernels
from nanochat_np.backend.device import select_device
from nanochat_np.errors import ConfigError, NanochatError, RunError
from nanochat_np.infer.batch import complete
from nanochat_np.infer.generation import Generation
from nanochat_np.infer.sampling import Sampling
from nanochat_np.serve.app import application, service_of
from nanochat_np.serve.exchange import GRACE
from nanochat_np.serve.service import Settings
from nanochat_np.train.load_engine import load_engine

BACKLOG = 2048  # connections that wait to be taken


@dataclass(frozen=True)
class Loader:
    """Makes the application, in whichever process is to run it."""

    checkpoint: Path
    device: str
    slots: int
    precision: str
    quantize: str
    settings: Settings

    def __call__(self) -> Starlette:
        """Load the model, and let it write a little: what is compiled at first use is compiled then."""
        device = select_device(self.device)
        engine, _ = load_engine(
            self.checkpoint, device, slots=self.slots, precision=self.precision, quantize=self.quantize
        )
        complete(engine, [Generation([engine.tokenizer.bos] * 2, Sampling(max_tokens=2), stop=())])
        return application(service_of(engine, self.settings))


@dataclass(frozen=True)
class Worker:
    """A loader in a process of its own: what goes wrong it says in a line, and ends so that nobody starts another."""

    loader: Loader

    def __call__(self) -> Starlette:
        """Load the model, or end the process."""
        try:
            kernels.obey_environment()
            return self.loader()
        except (NanochatError, MemoryError) as error:
            print(f"error: {error or 'out of memory'}", file=sys.stderr)
            sys.exit(STARTUP_FAILURE)


def bound(host: str, port: int) -> socket.socket:
    """A socket that has the port, which nobody can connect to yet.  Raises ConfigError where it cannot be had."""
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    except socket.gaierror as error:
        raise ConfigError(f"--host {host}: {error.strerror}") from None
    listener = socket.socket(family, kind, protocol)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind(address)
    except OSError as error:
        listener.close()
        raise ConfigError(
            f"--host {host} --port {port}: {error.strerror}: choose another, or --port 0 for any that is free"
        ) from None
    return listener


def serve(loader: Loader, listener: socket.socket, workers: int, ready: Callable[[], None]) -> None:
    """Serve until SIGINT or SIGTERM, then finish what is being answered; a second SIGINT ends at once.

    ``ready`` is called when the model is loaded, or by ``workers`` about to be.
    Raises KeyboardInterrupt after a second one, RunError where a worker does not start.
    """
    timeout = loader.settings.timeout
    if hasattr(socket, "TCP_USER_TIMEOUT"):  # of a client that takes nothing any more, the kernel lets go in the end
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, int(1000 * timeout))
    alone = workers == 1
    config = uvicorn.Config(
        loader() if alone else Worker(loader),
        factory=not alone,
        workers=workers,
        backlog=BACKLOG,
        lifespan="on",
        ws="none",
        access_log=False,
        log_level=logging.WARNING,
        server_header=False,
        timeout_graceful_shutdown=int(timeout + GRACE) + 1,
    )
    ready()
    if alone:
        _one(_Server(config), listener)
    else:
        _several(config, listener)


class _Server(uvicorn.Server):
    """uvicorn's raises each signal again when it has obeyed it; this one leaves that to who runs it."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        before = {number: signal.signal(number, self.handle_exit) for number in (signal.SIGINT, signal.SIGTERM)}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        super().handle_exit(sig, frame)
        if self.force_exit:  # what is cut off now would be told as errors
            logging.getLogger("uvicorn.error").setLevel(logging.CRITICAL)


def _one(server: _Server, listener: socket.socket) -> None:
    try:
        server.run([listener])
    except SystemExit:
        raise RunError("the server did not start: the reason is above") from None
    if server.force_exit:
        raise KeyboardInterrupt


def _several(config: uvicorn.Config, listener: socket.socket) -> None:
    if "NANOCHAT_NP_THREADS" not in os.environ:
        os.environ["NANOCHAT_NP_THREADS"] = str(max(1, (os.cpu_count() or 1) // config.workers))
    listener.set_inheritable(True)
    supervisor = Multiprocess(config, [listener])
    supervisor.run()
    if any(process.exitcode == STARTUP_FAILURE for process in supervisor.processes):
        raise RunError("a worker did not start: the reason is above")
