"""The GPU that a test runs on: the stand-in by default, a real one with ``-m gpu``."""

import sys

import pytest

from nanochat_np.backend import find_cuda, select_device
from tests.gpu.fake_cupy import fake_cupy


@pytest.fixture(params=["fake", pytest.param("cuda", marks=pytest.mark.gpu)])
def device(request, monkeypatch):
    """A `Device` that is not the CPU.  Of the stand-in's two it is the second, which is not current by itself."""
    if request.param == "fake":
        monkeypatch.setitem(sys.modules, "cupy", fake_cupy(n_devices=2))
        return select_device("cuda:1")
    available, reason = find_cuda()
    if not available:
        pytest.skip(reason)
    return select_device("cuda")
