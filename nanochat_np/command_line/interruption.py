"""Ctrl-C, remembered: compiled code may turn the KeyboardInterrupt that it meets into an error of its own."""

import contextlib
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from types import FrameType
from typing import Any


class Interruption:
    """Whether SIGINT came."""

    def __init__(self) -> None:
        self.came = False

    def take(self, number: int, frame: FrameType | None) -> None:
        """Handle the signal."""
        self.came = True
        raise KeyboardInterrupt


@contextlib.contextmanager
def handled_by(handler: Callable[[int, FrameType | None], None]) -> Iterator[None]:
    """While this is open Ctrl-C calls ``handler``; an ignored SIGINT, or another thread's, is left alone."""
    if threading.current_thread() is not threading.main_thread() or signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        yield
        return
    before = signal.signal(signal.SIGINT, handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


@contextlib.contextmanager
def remembered() -> Iterator[Interruption]:
    """While this is open SIGINT is remembered as it interrupts; an ignored one, or another thread's, is left alone."""
    interruption, hook = Interruption(), sys.unraisablehook

    def unraisable(problem: Any) -> None:
        if not issubclass(problem.exc_type, KeyboardInterrupt):  # which is told in one line already
            hook(problem)

    with handled_by(interruption.take):
        sys.unraisablehook = unraisable
        try:
            yield interruption
        finally:
            sys.unraisablehook = hook
