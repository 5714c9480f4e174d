"""Making things in a thread before they are asked for."""

import threading
from collections import deque
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from typing import Generic, TypeVar

Item = TypeVar("Item")


@contextmanager
def prefetched(items: Generator[Item, None, None], depth: int) -> Iterator[Iterator[Item]]:
    """``items`` made by a thread, up to ``depth`` of them ahead; an error of theirs is raised after what came before.

    The thread ends, and closes ``items``, with the ``with`` block: as soon as the item in the making is made.
    """
    queue = _Queue[Item](depth)
    thread = threading.Thread(target=_make, args=(items, queue), name="prefetch", daemon=True)
    thread.start()
    try:
        yield queue
    finally:
        queue.stop()
        thread.join()


def _make(items: Generator[Item, None, None], queue: "_Queue[Item]") -> None:
    try:
        for item in items:
            if not queue.put(item):
                break
    except BaseException as error:
        queue.end(error)
    else:
        queue.end(None)
    finally:
        items.close()


class _Queue(Generic[Item]):
    """Items from one thread to another, at most ``depth`` at a time; the reader iterates over it."""

    def __init__(self, depth: int) -> None:
        self._depth = depth
        self._items: deque[Item] = deque()
        self._error: BaseException | None = None
        self._ended = self._stopped = False
        self._changed = threading.Condition()

    def put(self, item: Item) -> bool:
        """Append when there is room; False where nobody reads on."""
        with self._changed:
            self._changed.wait_for(lambda: len(self._items) < self._depth or self._stopped)
            self._items.append(item)
            self._changed.notify()
            return not self._stopped

    def end(self, error: BaseException | None) -> None:
        """Nothing follows, but for an error."""
        with self._changed:
            self._ended, self._error = True, error
            self._changed.notify()

    def stop(self) -> None:
        """Nobody reads on."""
        with self._changed:
            self._stopped = True
            self._changed.notify()

    def __iter__(self) -> Iterator[Item]:
        return self

    def __next__(self) -> Item:
        with self._changed:
            self._changed.wait_for(lambda: self._items or self._ended)
            if self._items:
                self._changed.notify()
                return self._items.popleft()
            error, self._error = self._error, None
        raise error or StopIteration
