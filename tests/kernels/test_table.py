"""The table of kernels, and when one of them runs."""

import importlib
import inspect
import sys

import numpy as np
import pytest

from nanochat_np import kernels, ops
from nanochat_np.nn import gpt  # noqa: F401  its operations are of the table
from nanochat_np.optim import groups  # noqa: F401  so are the optimizers'
from tests.strategies import New


@pytest.mark.parametrize("name", kernels.TABLE)
def test_a_kernel_has_the_name_and_the_parameters_of_its_reference(name):
    module = importlib.import_module(f"nanochat_np.kernels.{kernels.TABLE[name]}")
    fused, reference = getattr(module, name), kernels.reference(name)
    assert kernels.kernel(name) is fused
    assert fused.__name__ == reference.__name__ == name
    described = [
        {p.name: p.default for p in inspect.signature(getattr(f, "py_func", f)).parameters.values()}
        for f in (fused, reference)
    ]
    assert described[0] == described[1]


@pytest.fixture
def ran(monkeypatch):
    """Names of the kernels that ran."""
    names = []
    found = kernels.kernel

    def kernel(name):
        names.append(name)
        return found(name)

    monkeypatch.setattr(kernels, "kernel", kernel)
    return names


def test_numpy_arrays_go_to_the_kernel(ran):
    y, cache = ops.rms_norm(np.ones((2, 3)))
    ops.rms_norm_backward(y, cache)
    assert ran == ["rms_norm", "rms_norm_backward"]


def test_reference_only_is_a_context(ran):
    with kernels.reference_only():
        ops.rms_norm(np.ones((2, 3)))
        assert ran == []
    ops.rms_norm(np.ones((2, 3)))
    assert ran == ["rms_norm"]


def test_reference_only_ends_with_an_error(ran):
    with pytest.raises(ZeroDivisionError), kernels.reference_only():
        raise ZeroDivisionError
    ops.rms_norm(np.ones((2, 3)))
    assert ran == ["rms_norm"]


def test_attention_over_a_long_window_is_matrix_products(ran):
    new = New()
    for keys, expected in ((32, ["causal_attention", "causal_attention_backward"]), (33, [])):
        ran.clear()
        o, cache = ops.causal_attention(new(1, 1, 2, 3), new(1, 1, keys, 3), v=new(1, 1, keys, 3))
        ops.causal_attention_backward(o, cache)
        assert ran == expected


def test_without_numba_the_reference_runs(monkeypatch):
    for cached in ("kernel", "can_compile"):
        monkeypatch.setattr(kernels, cached, getattr(kernels, cached).__wrapped__)
    monkeypatch.setitem(sys.modules, "nanochat_np.backend.jit", None)
    assert kernels.kernel("rms_norm") is None
    assert not kernels.in_use()
    assert not kernels.are_cold()
    np.testing.assert_allclose(ops.rms_norm(np.full((1, 3), 2.0))[0], 1, rtol=1e-5)
