"""When a parallel kernel is worth a second thread."""

import functools
from collections.abc import Callable
from typing import Any

from numba import get_num_threads, set_num_threads

SHARED = 1 << 18  # numbers: to wake a thread takes about as long as one thread takes for these


def shared(kernel: Callable[..., None]) -> Callable[..., None]:
    """A parallel kernel that stays on one thread where its first argument, the array that it goes through, is small."""

    @functools.wraps(kernel)
    def run(*args: Any) -> None:
        if args[0].size >= SHARED:
            kernel(*args)
            return
        threads = get_num_threads()
        set_num_threads(1)
        try:
            kernel(*args)
        finally:
            set_num_threads(threads)

    return run
