"""Work in processes side by side, where one that dies takes only its own piece of the work with it.

Each lane is a pool of one process: a pool of several cannot tell which piece killed a process, and fails all it holds.
"""

import contextlib
import importlib
import itertools
import multiprocessing
import os
import signal
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from typing import TypeVar

from nanochat_np.train.interrupts import stop_request

Item = TypeVar("Item")
Result = TypeVar("Result")
_SECONDS_TO_NOTICE = 0.2  # that somebody asked to stop


def in_lanes(
    work: Callable[[Item], Result], items: Sequence[Item], jobs: int, threads: int
) -> Iterator[tuple[Item, Result | BaseException]]:
    """Each item with what ``work``, a function of a module, returned or raised for it, in the order of completion.

    Up to ``jobs`` processes with ``threads`` threads each.  An item whose process died comes with BrokenProcessPool.
    Raises KeyboardInterrupt on SIGINT or SIGTERM.  However the iteration ends, no process is left.
    """
    waiting = iter(items)
    running: dict[Future[Result], tuple[ProcessPoolExecutor, Item]] = {}

    def start(lane: ProcessPoolExecutor) -> None:
        for item in itertools.islice(waiting, 1):
            with _no_interrupt():
                running[lane.submit(work, item)] = lane, item

    with contextlib.ExitStack() as lanes, stop_request() as stop:
        try:
            for _ in range(min(jobs, len(items))):
                start(lanes.enter_context(_lane(threads)))
            while running:
                done, _ = wait(running, _SECONDS_TO_NOTICE, FIRST_COMPLETED)
                for future in done:
                    lane, item = running.pop(future)
                    error = future.exception()
                    died = isinstance(error, BrokenProcessPool)
                    start(lanes.enter_context(_lane(threads)) if died else lane)
                    if not (stop.asked and error):
                        yield item, error or future.result()
                if stop.asked:
                    raise KeyboardInterrupt
        finally:
            for process in multiprocessing.active_children() if running else ():
                process.terminate()


def _lane(threads: int) -> ProcessPoolExecutor:
    # A fork of a process with running threads (BLAS, Numba) can hang or abort; a new interpreter cannot.
    context = multiprocessing.get_context("spawn")
    return ProcessPoolExecutor(1, context, initializer=_begin, initargs=(threads,))


def _begin(threads: int) -> None:
    """The first thing in a process.  This module imports nothing that loads NumPy, so the thread budget comes first."""
    os.environ["NANOCHAT_NP_THREADS"] = str(threads)
    importlib.import_module("nanochat_np.backend")


@contextlib.contextmanager
def _no_interrupt() -> Iterator[None]:
    """Processes that start here do not take SIGINT, which Ctrl-C sends to all of them: this one ends the others."""
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    outside = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, outside)
