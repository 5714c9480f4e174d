"""A pool of memory for large arrays on the CPU, as CuPy has one on a GPU.

An array from here keeps a small holder alive, as do all views of it; when the last of them dies, the holder hands the
memory back and the next array may have it.  So an array lives as long as any other, and a training step, which asks
for the same sizes over and over, takes nothing from the system: no page faults, and no more memory than its peak.

Memory comes from the system in segments.  A request takes the smallest free range that it fits in and leaves the rest
free; neighbouring free ranges become one, across segments too, which the system often puts side by side.  Linux is
asked for huge pages, as NumPy does for its own large arrays: a CPU knows the places of few small ones at a time.
"""

import collections
import contextlib
import math
import mmap
import threading
from bisect import bisect_left, insort
from typing import Any

import numpy as np
from numpy.typing import DTypeLike

from nanochat_np.backend.arrays import Array, array_module

SMALLEST = 1 << 20  # bytes; below that the system's allocator is quicker, and keeps what is freed (`allocator`)
_ALIGNMENT = 64  # a cache line, and the widest vector register
_SEGMENT = 1 << 22  # segments are multiples of this


class MemoryPool:
    """Best fit over segments of memory.  Any thread may use it; counters in bytes have CuPy's names."""

    def __init__(self) -> None:
        self._segments: dict[int, tuple[int, Any]] = {}  # start -> (size, what keeps it)
        self._free: list[tuple[int, int]] = []  # (size, start), in order
        self._sizes: dict[int, int] = {}  # start of a free range -> its size
        self._starts: dict[int, int] = {}  # end of a free range -> its start
        # Holders die anywhere, in the midst of `empty` too when garbage is collected there: they wait here until the
        # lock is held.
        self._returned: collections.deque[tuple[int, int]] = collections.deque()
        self._lock = threading.Lock()

    def empty(self, shape: tuple[int, ...], dtype: DTypeLike) -> np.ndarray:
        """A new C-contiguous array, aligned to 64 bytes, its values arbitrary."""
        dtype = np.dtype(dtype)
        size = max(1, -(-math.prod(shape) * dtype.itemsize // _ALIGNMENT)) * _ALIGNMENT
        with self._lock:
            self._take_back()
            start = self._taken(size)
        return np.asarray(_Holder(self, start, size, shape, dtype))

    def used_bytes(self) -> int:
        """Memory of arrays that are alive."""
        return self.total_bytes() - self.free_bytes()

    def free_bytes(self) -> int:
        """Memory that waits for new arrays."""
        with self._lock:
            self._take_back()
            return sum(self._sizes.values())

    def total_bytes(self) -> int:
        """Memory taken from the system."""
        return sum(size for size, _ in self._segments.values())

    def free_all_blocks(self) -> None:
        """Give the system every segment that no living array lies in."""
        with self._lock:
            self._take_back()
            for start, (size, _) in list(self._segments.items()):
                around = next((s for s, n in self._sizes.items() if s <= start and start + size <= s + n), None)
                if around is not None:
                    end = around + self._remove(around)
                    self._add(around, start - around)
                    self._add(start + size, end - start - size)
                    del self._segments[start]

    def _taken(self, size: int) -> int:
        """Start of ``size`` bytes that are free no longer."""
        if not self._free or self._free[-1][0] < size:
            self._grow(size)
        start = self._free[bisect_left(self._free, (size, 0))][1]
        rest = self._remove(start) - size
        self._add(start, rest)  # the end is taken: the system's next segment is often below, beside the rest
        return start + rest

    def _grow(self, size: int) -> None:
        size = -(-size // _SEGMENT) * _SEGMENT
        private = {"flags": mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS} if hasattr(mmap, "MAP_PRIVATE") else {}
        pages = mmap.mmap(-1, size, **private)
        if hasattr(mmap, "MADV_HUGEPAGE"):
            with contextlib.suppress(OSError):  # a system may be without them
                pages.madvise(mmap.MADV_HUGEPAGE)
        memory = np.frombuffer(pages, np.uint8)
        start = memory.__array_interface__["data"][0]
        self._segments[start] = size, memory
        self._release(start, size)

    def _take_back(self) -> None:
        while self._returned:
            self._release(*self._returned.popleft())

    def _release(self, start: int, size: int) -> None:
        """Make a range free, one with the free ranges on either side."""
        if start in self._starts:
            start, size = self._starts[start], size + self._remove(self._starts[start])
        if start + size in self._sizes:
            size += self._remove(start + size)
        self._add(start, size)

    def _add(self, start: int, size: int) -> None:
        if size:
            insort(self._free, (size, start))
            self._sizes[start], self._starts[start + size] = size, start

    def _remove(self, start: int) -> int:
        """Forget a free range; returns its size."""
        size = self._sizes.pop(start)
        del self._starts[start + size], self._free[bisect_left(self._free, (size, start))]
        return size


class _Holder:
    """What an array and all its views keep alive; it keeps the pool, and gives the memory back when they are gone."""

    __slots__ = ("__array_interface__", "_pool", "_range")

    def __init__(self, pool: MemoryPool, start: int, size: int, shape: tuple[int, ...], dtype: np.dtype) -> None:
        self._pool, self._range = pool, (start, size)
        self.__array_interface__ = {"version": 3, "shape": shape, "typestr": dtype.str, "data": (start, False)}

    def __del__(self) -> None:
        self._pool._returned.append(self._range)


default_pool = MemoryPool()


def empty(shape: tuple[int, ...], dtype: DTypeLike, like: Array) -> Array:
    """A new array on the device of ``like``, its values arbitrary: from the pool where it is large and NumPy's."""
    xp = array_module(like)
    if xp is np and math.prod(shape) * np.dtype(dtype).itemsize >= SMALLEST:
        return default_pool.empty(shape, dtype)
    return xp.empty(shape, dtype)


def zeros(shape: tuple[int, ...], dtype: DTypeLike, like: Array) -> Array:
    """As `empty`, all 0."""
    array = empty(shape, dtype, like)
    array.fill(0)
    return array
