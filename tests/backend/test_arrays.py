import sys

import numpy as np
import pytest

from nanochat_np.backend import array_module, to_numpy
from nanochat_np.backend.arrays import statistics_dtype
from tests.gpu.fake_cupy import fake_cupy


class Refuses:
    """Finder of modules that must not be imported."""

    def find_spec(self, name, path=None, target=None):
        assert name != "cupy", "cupy was imported"


def test_array_module_never_imports_cupy(monkeypatch):
    monkeypatch.delitem(sys.modules, "cupy", raising=False)
    monkeypatch.setattr(sys, "meta_path", [Refuses(), *sys.meta_path])
    assert array_module(np.ones(2), 1.0) is np
    assert "cupy" not in sys.modules


def test_array_module_is_decided_by_the_array(monkeypatch):
    cupy = fake_cupy()
    monkeypatch.setitem(sys.modules, "cupy", cupy)
    on_gpu = cupy.zeros(2)
    assert array_module(on_gpu) is cupy
    assert array_module(1.0, None, on_gpu) is cupy
    assert array_module(np.ones(2)) is np
    assert array_module() is np


def test_to_numpy(monkeypatch):
    array = np.arange(3)
    assert to_numpy(array) is array
    cupy = fake_cupy()
    monkeypatch.setitem(sys.modules, "cupy", cupy)
    np.testing.assert_array_equal(to_numpy(cupy.array(array)), array)
    assert to_numpy(array) is array


@pytest.mark.parametrize(
    ("dtype", "expected"), [("float16", "float32"), ("float32", "float32"), ("float64", "float64")]
)
def test_statistics_have_at_least_32_bits(dtype, expected):
    assert statistics_dtype(np.dtype(dtype)) == np.dtype(expected)
