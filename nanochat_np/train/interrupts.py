"""Ctrl-C and SIGTERM: while there is nothing to lose they end the work at once, in training at the next step.

Python hears of a signal when a call of compiled code returns.
"""

import contextlib
import signal
import threading
from collections.abc import Callable, Iterator
from types import FrameType

Handler = Callable[[int, FrameType | None], object]


class StopRequest:
    """Whether somebody asked to stop.  Who asks a second time does not want to wait."""

    def __init__(self, at_once: Handler) -> None:
        self.asked = False
        self._at_once = at_once

    def handle(self, number: int, frame: FrameType | None) -> None:
        """Take a signal.  Raises KeyboardInterrupt from the second one on."""
        if self.asked:
            self._at_once(number, frame)
        self.asked = True


@contextlib.contextmanager
def stop_request() -> Iterator[StopRequest]:
    """While this is open SIGINT and SIGTERM set ``asked``; the second of them raises KeyboardInterrupt."""
    request = StopRequest(_outer())
    with _handled(request.handle):
        yield request


@contextlib.contextmanager
def stop_at_once() -> Iterator[None]:
    """While this is open SIGTERM raises KeyboardInterrupt, as SIGINT does: both end in clean-up and a line."""
    with _handled(_outer()):
        yield


def _outer() -> Handler:
    """What handles SIGINT by now, and raises KeyboardInterrupt: the command line's handler remembers that it did."""
    handler = signal.getsignal(signal.SIGINT)
    return handler if callable(handler) else signal.default_int_handler


@contextlib.contextmanager
def _handled(handler: Handler) -> Iterator[None]:
    """Handle SIGINT and SIGTERM so, each unless this process was told to ignore it.

    Outside the main thread, where that is impossible, signals are left alone.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    heeded = [n for n in (signal.SIGINT, signal.SIGTERM) if signal.getsignal(n) is not signal.SIG_IGN]
    previous = {number: signal.signal(number, handler) for number in heeded}
    try:
        yield
    finally:
        for number, before in previous.items():
            signal.signal(number, before)
