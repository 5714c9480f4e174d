"""Every closed-form value is asked of the reference and of the kernel."""

import contextlib

import pytest

from nanochat_np import kernels


@pytest.fixture(params=["reference", "fused"], autouse=True, scope="module")
def path(request):
    """Which of the two `ops` computes with."""
    with kernels.reference_only() if request.param == "reference" else contextlib.nullcontext():
        yield request.param
