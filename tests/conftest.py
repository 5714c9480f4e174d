"""What all tests share: folders in memory, and Hypothesis profiles.

The profiles: the same examples at every run, and `--hypothesis-profile=thorough` for many more.
"""

import os
import signal
import tempfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from nanochat_np import kernels

settings.register_profile(
    "repeatable", derandomize=True, deadline=None, max_examples=24, suppress_health_check=[HealthCheck.too_slow]
)
settings.register_profile("thorough", settings.get_profile("repeatable"), max_examples=2000)
settings.load_profile("repeatable")

_MEMORY = Path("/dev/shm")

signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell makes what it runs in the background ignore Ctrl-C


@pytest.fixture
def tmp_path():
    """A folder of the test's own, in memory where the system has such a place: the tests make thousands of files."""
    with tempfile.TemporaryDirectory(dir=_MEMORY if os.access(_MEMORY, os.W_OK) else None) as folder:
        yield Path(folder).resolve()


@pytest.fixture
def kernels_as_before():
    """For tests that choose the kernels of the process: the choice is free, and gone when the test is over."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(kernels.VARIABLE, "auto")
        yield
    kernels.obey_environment()
