"""Work in processes: what comes back, and what a process that dies takes with it."""

import multiprocessing
import os
import signal
import sys
import time
from concurrent.futures.process import BrokenProcessPool

import pytest

from nanochat_np.experiments.lanes import in_lanes

slow = pytest.mark.slow  # each process imports NumPy


def work(item):
    if item == "die":
        os.kill(os.getpid(), signal.SIGKILL)
    if item == "raise":
        raise ValueError(item)
    if item == "sleep":
        time.sleep(60)
    return item, os.getpid()


def threads(item):
    from nanochat_np.backend import environment

    import_was_late = environment.report()["numpy_came_first"]
    return import_was_late, [os.environ[name] for name in ("OPENBLAS_NUM_THREADS", "NUMBA_NUM_THREADS")]


@slow
def test_every_item_comes_back_from_at_most_so_many_processes():
    found = dict(in_lanes(work, list("abcdef"), 2, 1))
    assert {item: result[0] for item, result in found.items()} == {item: item for item in "abcdef"}
    processes = {result[1] for result in found.values()}
    assert 1 <= len(processes) <= 2
    assert os.getpid() not in processes
    assert not multiprocessing.active_children()


@slow
@pytest.mark.skipif(sys.platform == "win32", reason="there is no SIGKILL")
def test_a_process_that_dies_takes_only_its_own_item():
    found = dict(in_lanes(work, ["a", "die", "b", "raise", "c"], 1, 1))
    assert isinstance(found.pop("die"), BrokenProcessPool)
    assert isinstance(found.pop("raise"), ValueError)
    assert [found[item][0] for item in ("a", "b", "c")] == ["a", "b", "c"]


@slow
def test_a_process_has_its_threads_before_numpy_loads(monkeypatch):
    for name in ("OPENBLAS_NUM_THREADS", "NUMBA_NUM_THREADS"):
        monkeypatch.setenv(name, "7")  # inherited
    (_, found), *_ = in_lanes(threads, ["x"], 1, 3)
    assert found == (False, ["3", "3"])


@slow
@pytest.mark.skipif(sys.platform == "win32", reason="signals are others there")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_all_processes(number):
    before = signal.getsignal(number)
    begin = time.monotonic()
    with pytest.raises(KeyboardInterrupt):  # noqa: PT012
        for _ in in_lanes(work, ["a", "sleep", "sleep", "b"], 2, 1):
            os.kill(os.getpid(), number)
    assert time.monotonic() - begin < 20
    assert not multiprocessing.active_children()
    assert signal.getsignal(number) is before


@slow
def test_to_leave_early_ends_all_processes():
    results = in_lanes(work, ["a", "sleep"], 2, 1)
    next(results)
    results.close()
    assert not multiprocessing.active_children()
