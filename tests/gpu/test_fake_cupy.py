"""The stand-in refuses what a GPU's arrays refuse."""

import numpy as np
import pytest

from tests.gpu.fake_cupy import Device, fake_cupy


@pytest.fixture
def cp():
    return fake_cupy()


@pytest.mark.parametrize(
    "mixed",
    [
        lambda a, n: a + n,
        lambda a, n: n + a,
        lambda a, n: n @ a,
        lambda a, n: np.exp(a),
        lambda a, n: np.asarray(a),
        lambda a, n: np.concatenate([a, n]),
        lambda a, n: a.__setitem__(0, n),
        lambda a, n: a.__iadd__(n),
        lambda a, n: n.__iadd__(a),
        lambda a, n: a[n.astype(int)],
        lambda a, n: float(a.sum()),
        lambda a, n: bool(a[0] == 1),
    ],
)
def test_refuses(cp, mixed):
    with pytest.raises(TypeError):
        mixed(cp.array(np.ones(2)), np.ones(2))


@pytest.mark.parametrize("function", ["exp", "where", "maximum", "bincount"])
def test_functions_refuse_numpy_arrays(cp, function):
    with pytest.raises(TypeError):
        getattr(cp, function)(np.ones(2))


def test_takes_numbers_of_python_and_of_numpy(cp):
    a = cp.array(np.ones(2, np.float32))
    total = np.float32(2) * a + 1
    total[0] = total.sum() - np.float32(0.5)
    np.testing.assert_array_equal((1 - total / 2).get(), [1 - 5.5 / 2, -0.5])
    assert total.dtype == np.float32
    assert total.sum().shape == ()


def test_arrays_belong_to_the_device_that_was_current(cp):
    with cp.cuda.Device(1):
        a = cp.zeros(3)
        a += 1
    with pytest.raises(ValueError, match="device 1"):
        a + 1
    with cp.cuda.Device(1):
        np.testing.assert_array_equal((a + 1).get(), [2, 2, 2])
    assert Device.current == 0
