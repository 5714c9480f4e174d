"""The pool of memory: no two living arrays overlap, what dies is used again, and nothing is lost."""

import gc
import re
import sys
import threading
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from nanochat_np.backend import array_module, default_pool, empty, pool, zeros
from nanochat_np.backend.pool import MemoryPool
from tests.gpu.fake_cupy import fake_cupy

MIB = 1 << 20


class ArraysComeAndGo(RuleBasedStateMachine):
    """Against a model: a list of living arrays, each filled with a number of its own."""

    def __init__(self):
        super().__init__()
        self.pool, self.living, self.made = MemoryPool(), [], 0

    @rule(rows=st.integers(0, 3000), columns=st.sampled_from([1, 7, 1000]), dtype=st.sampled_from(["f4", "f8", "i2"]))
    def make(self, rows, columns, dtype):
        array = self.pool.empty((rows, columns), dtype)
        assert array.shape == (rows, columns)
        assert array.dtype == dtype
        assert array.flags.c_contiguous
        assert array.flags.writeable
        assert array.ctypes.data % 64 == 0
        self.made += 1
        array.fill(self.made % 1000)
        self.living.append((array, self.made % 1000))

    @precondition(lambda self: self.living)
    @rule(data=st.data())
    def leave_a_view(self, data):
        i = data.draw(st.integers(0, len(self.living) - 1))
        array, number = self.living[i]
        self.living[i] = array.reshape(-1)[len(array) // 2 :], number

    @precondition(lambda self: self.living)
    @rule(data=st.data())
    def drop(self, data):
        self.living.pop(data.draw(st.integers(0, len(self.living) - 1)))

    @rule()
    def free_all_blocks(self):
        self.pool.free_all_blocks()
        if not self.living:
            assert self.pool.total_bytes() == 0

    @invariant()
    def no_two_living_arrays_overlap(self):
        for array, number in self.living:
            assert (array == number).all()

    @invariant()
    def counters_add_up(self):
        used, free, total = self.pool.used_bytes(), self.pool.free_bytes(), self.pool.total_bytes()
        assert used + free == total
        assert used >= sum(array.nbytes for array, _ in self.living)
        assert self.living or used == 0


ArraysComeAndGo.TestCase.settings = settings(max_examples=20, stateful_step_count=30)
TestArraysComeAndGo = ArraysComeAndGo.TestCase


def test_what_dies_is_used_again_and_the_smallest_range_that_fits_is_taken():
    own = MemoryPool()
    arrays = [own.empty((size, MIB), np.uint8) for size in (3, 1, 2, 2)]  # 4 + 4 MiB
    large, small = arrays[0].ctypes.data, arrays[2].ctypes.data
    arrays[0] = arrays[2] = None
    assert own.empty((2 * MIB,), np.uint8).ctypes.data == small
    assert own.empty((3 * MIB,), np.uint8).ctypes.data == large
    assert own.total_bytes() == 8 * MIB


def test_neighbours_that_are_free_become_one():
    own = MemoryPool()
    arrays = [own.empty((MIB,), np.uint8) for _ in range(4)]
    assert own.total_bytes() == 4 * MIB
    for i in (0, 2, 1, 3):  # by the right neighbour, by both, by the left
        arrays[i] = None
    assert own.empty((4 * MIB,), np.uint8).nbytes == own.total_bytes()


@given(st.lists(st.integers(1, 60), min_size=1, max_size=30), st.integers(0, 2**32 - 1))
@settings(max_examples=20)
def test_the_same_requests_again_take_nothing_from_the_system(sizes, seed):
    own = MemoryPool()

    def step():
        order, living = np.random.default_rng(seed), []
        for size in sizes:
            living.append(own.empty((size << 16,), np.uint8))
            if order.random() < 0.5:
                living.pop(order.integers(len(living)))

    step()
    step()
    total = own.total_bytes()
    step()
    assert own.total_bytes() == total


def test_only_segments_without_living_arrays_go_back():
    own = MemoryPool()
    kept, gone = own.empty((5 * MIB,), np.uint8), own.empty((5 * MIB,), np.uint8)
    kept.fill(7)
    del gone
    own.free_all_blocks()
    assert own.total_bytes() == 8 * MIB
    assert (kept == 7).all()
    assert own.empty((3 * MIB,), np.uint8).nbytes + kept.nbytes == own.total_bytes() == own.used_bytes()


def test_an_array_outlives_its_pool():
    array = MemoryPool().empty((1000, 1000), np.float32)
    gc.collect()
    array.fill(3)
    assert array.sum() == 3e6


def test_threads():
    own, errors = MemoryPool(), []

    def work(number):
        rng = np.random.default_rng(number)
        for _ in range(200):
            arrays = [own.empty((int(n),), np.int64) for n in rng.integers(1, 5000, 4)]
            for i, array in enumerate(arrays):
                array.fill(10 * number + i)
            errors.extend(i for i, array in enumerate(arrays) if (array != 10 * number + i).any())

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not errors
    assert own.used_bytes() == 0


def test_an_array_that_garbage_collection_finds_while_the_pool_is_at_work(monkeypatch):
    own = MemoryPool()
    grow = own._grow

    def collecting(size):
        gc.collect()  # as it may happen anywhere
        grow(size)

    monkeypatch.setattr(own, "_grow", collecting)
    ring = [own.empty((MIB,), np.uint8)]
    ring.append(ring)
    del ring
    second = own.empty((4 * MIB,), np.uint8)
    assert own.used_bytes() == second.nbytes


def test_small_arrays_and_those_of_a_gpu_are_not_the_pools(monkeypatch):
    used = default_pool.used_bytes()
    small = empty((pool.SMALLEST // 4 - 1,), np.float32, like=np.zeros(1))
    assert default_pool.used_bytes() == used
    large = empty((pool.SMALLEST // 4,), np.float32, like=small)
    assert default_pool.used_bytes() == used + large.nbytes
    cupy = fake_cupy()
    monkeypatch.setitem(sys.modules, "cupy", cupy)
    assert array_module(empty((1000, 1000), np.float32, like=cupy.zeros(1))) is cupy
    assert default_pool.used_bytes() == used + large.nbytes


@pytest.mark.parametrize("size", [1, 1 << 20])
def test_zeros(size):
    empty((size,), np.float32, like=np.zeros(1)).fill(1)
    assert not zeros((size,), np.float32, like=np.zeros(1)).any()


def pages_of(array):
    """The line of flags of the memory that the array lies in, from /proc/self/smaps."""
    place, inside = array.__array_interface__["data"][0], False
    for line in Path("/proc/self/smaps").read_text().splitlines():
        if found := re.match(r"([0-9a-f]+)-([0-9a-f]+) ", line):
            inside = int(found[1], 16) <= place < int(found[2], 16)
        elif inside and line.startswith("VmFlags:"):
            return line.split()
    return []


@pytest.mark.skipif(not Path("/sys/kernel/mm/transparent_hugepage").exists(), reason="a system without huge pages")
def test_huge_pages_are_asked_for():
    assert "hg" in pages_of(MemoryPool().empty((8 * MIB,), np.uint8))


def test_a_system_that_refuses_huge_pages_has_the_pool_all_the_same(monkeypatch):
    monkeypatch.setattr(pool.mmap, "MADV_HUGEPAGE", 12345, raising=False)  # what no system knows: EINVAL
    array = MemoryPool().empty((8 * MIB,), np.uint8)
    array.fill(1)
    assert "hg" not in pages_of(array)
    assert array.all()
