"""Freed memory stays with the process: the second array of a size causes next to no page faults."""

import resource
import sys

import numpy as np
import pytest

from nanochat_np.backend.allocator import keep_freed_memory


@pytest.mark.skipif(not keep_freed_memory(), reason="the allocator of this system is not glibc's")
def test_an_array_of_a_size_that_was_freed_takes_no_new_pages() -> None:
    def faults_of_an_array() -> int:
        before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
        np.ones(16 << 20, np.uint8)
        return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

    faults_of_an_array()
    assert min(faults_of_an_array() for _ in range(3)) < 100  # of 4,096 pages


def test_other_systems_are_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "darwin")
    assert not keep_freed_memory()
