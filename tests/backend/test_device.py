import sys

import numpy as np
import pytest

from nanochat_np.backend import Device, device, find_cuda, select_device
from nanochat_np.errors import ConfigError
from tests.gpu.fake_cupy import fake_cupy


@pytest.fixture
def cupy(monkeypatch):
    """CuPy with two GPUs, as a stand-in."""
    cupy = fake_cupy(n_devices=2)
    monkeypatch.setitem(sys.modules, "cupy", cupy)
    return cupy


@pytest.fixture
def no_cupy(monkeypatch):
    monkeypatch.setitem(sys.modules, "cupy", None)


@pytest.mark.parametrize("flag", ["auto", "cpu"])
def test_cpu_where_there_is_no_cupy(no_cupy, flag):
    assert select_device(flag) == Device()


def test_cpu_does_not_look_for_a_gpu(monkeypatch):
    monkeypatch.setattr(device, "find_cuda", lambda: pytest.fail("looked"))
    assert select_device("cpu").name == "cpu"


@pytest.mark.parametrize("flag", ["cuda", "cuda:1"])
def test_cuda_without_cupy_says_what_to_install(no_cupy, flag):
    with pytest.raises(ConfigError, match=rf"^--device {flag}: .*pip install 'nanochat-np\[cuda12\]'.*--device cpu$"):
        select_device(flag)


def test_cupy_that_does_not_import(no_cupy, monkeypatch):
    monkeypatch.setattr(device.importlib.util, "find_spec", lambda name: object())
    available, reason = find_cuda()
    assert not available
    assert "does not import" in reason
    assert device.cupy_or_none() is None
    assert select_device("auto") == Device()


def test_a_driver_that_fails(cupy):
    def fail():
        raise cupy.cuda.runtime.CUDARuntimeError("cudaErrorInsufficientDriver")

    cupy.cuda.runtime.getDeviceCount = fail
    with pytest.raises(ConfigError, match=r"no usable GPU \(cudaErrorInsufficientDriver\).*nvidia-smi"):
        select_device("cuda")
    assert select_device("auto") == Device()


def test_cupy_without_a_gpu(cupy):
    cupy.cuda.runtime.getDeviceCount = lambda: 0
    with pytest.raises(ConfigError, match="finds no GPU"):
        select_device("cuda:0")
    assert select_device("auto") == Device()


@pytest.mark.parametrize(("flag", "index"), [("auto", 0), ("cuda", 0), ("cuda:0", 0), ("cuda:1", 1)])
def test_a_gpu_that_is_there(cupy, flag, index):
    chosen = select_device(flag)
    assert (chosen.index, chosen.name, chosen.backend) == (index, f"cuda:{index}", "cupy")
    assert chosen.xp is cupy


def test_a_gpu_of_too_high_a_number(cupy):
    with pytest.raises(ConfigError, match=r"--device cuda:2: there are 2 GPUs, numbered from 0"):
        select_device("cuda:2")


def test_cpu_arrays_are_contiguous_copies():
    values = np.arange(6.0).reshape(2, 3).T
    array = Device().array(values, "float32")
    assert array.flags.c_contiguous
    assert array.dtype == np.float32
    np.testing.assert_array_equal(array, values)
    assert not np.shares_memory(Device().array(values), values)
    assert Device().backend == "numpy"


def test_active_makes_arrays_there(cupy):
    with select_device("cuda:1").active():
        array = select_device("cuda:1").array([1, 2])
        assert (array + 1).get().tolist() == [2, 3]
    with pytest.raises(ValueError, match="device 1"):
        array + 1


def test_memory_counts_the_pool(cupy):
    assert Device().memory_bytes() > 1 << 20
    pool = cupy.get_default_memory_pool().total_bytes()
    cupy.get_default_memory_pool = lambda: type("Pool", (), {"total_bytes": lambda self: 1 << 50})()
    assert select_device("cuda").memory_bytes() > (1 << 50) > pool
    select_device("cuda").synchronize()
    Device().synchronize()
