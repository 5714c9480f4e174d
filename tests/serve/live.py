"""An application behind a real server on a port of this machine."""

import contextlib
import threading
import time

import uvicorn

from nanochat_np.serve.server import bound


@contextlib.contextmanager
def listening(app):
    """The address of an application; it stops, streams finished, when this closes."""
    server = uvicorn.Server(uvicorn.Config(app, lifespan="on", ws="none", log_level="warning"))
    with bound("127.0.0.1", 0) as listener:
        thread = threading.Thread(target=server.run, args=([listener],))
        thread.start()
        try:
            while not server.started:
                time.sleep(0.01)
            yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        finally:
            server.should_exit = True
            thread.join(30)
