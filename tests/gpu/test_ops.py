"""Every operation on a GPU gives what its reference gives on the CPU, and leaves its results on the GPU."""

import numpy as np
import pytest

from nanochat_np import kernels, ops
from nanochat_np.backend import array_module, to_numpy
from nanochat_np.optim.clip import clip_by_norm
from nanochat_np.optim.optimizer import Optimizer, update
from tests.gradcheck import as_tuple, assert_close
from tests.ops.cases import CASES, example_of
from tests.strategies import New

dtypes = pytest.mark.parametrize("dtype", ["float32", "float64"])


def same(on_gpu, expected, device, dtype):
    """Whether an array is on the GPU and has the values and the precision that it should."""
    assert array_module(on_gpu) is device.xp
    assert on_gpu.dtype == expected.dtype
    assert_close(to_numpy(on_gpu), expected, dtype)


@dtypes
@pytest.mark.parametrize("name", CASES)
def test_every_pair(device, name, dtype):
    forward, backward = getattr(ops, name), getattr(ops, f"{name}_backward")
    new = New(dtype=dtype)
    operands, constants = example_of(name, new)
    with kernels.reference_only():
        y, cache = forward(*operands, *constants)
        dy = new(*y.shape) if np.ndim(y) else 0.7
        grads = as_tuple(backward(dy, cache))
    with device.active():
        y_gpu, cache_gpu = forward(*map(device.array, operands), *map(device.array, constants))
        grads_gpu = as_tuple(backward(device.array(dy) if np.ndim(y) else dy, cache_gpu))
    same(y_gpu, y, device, dtype)
    for gradient, expected in zip(grads_gpu, grads, strict=True):
        same(gradient, expected, device, dtype)


@dtypes
def test_log_softmax_and_heads(device, dtype):
    z = New(dtype=dtype)(2, 3, 4)
    with device.active():
        on_gpu = device.array(z)
        same(ops.log_softmax(on_gpu), ops.log_softmax(z), device, dtype)
        heads = ops.split_heads(on_gpu, 2)
        same(heads, ops.split_heads(z, 2), device, dtype)
        same(ops.merge_heads(heads), z, device, dtype)


@dtypes
@pytest.mark.parametrize("grad_clip", [0.0, 0.5])
@pytest.mark.parametrize("make", ["sgd", "adamw"])
def test_optimizers(device, make, grad_clip, dtype):
    def three_steps(array):
        p = array(New(dtype=dtype)(7))
        optimizer = Optimizer.sgd(p, 0.9, grad_clip) if make == "sgd" else Optimizer.adamw(p, 0.9, 0.99, 0.1, grad_clip)
        norms = [update(optimizer, p, array(New(step, dtype=dtype)(7)), 0.1, step) for step in (1, 2, 3)]
        return p, optimizer.m, optimizer.v, *norms

    expected = three_steps(np.array)
    with device.active():
        for on_gpu, on_cpu in zip(three_steps(device.array), expected, strict=True):
            same(on_gpu, on_cpu, device, dtype)


def test_a_gradient_of_zeros_can_be_clipped(device):
    with device.active():
        g = device.array(np.zeros(3, np.float32))
        assert to_numpy(clip_by_norm(g, 1.0)) == 0
        np.testing.assert_array_equal(to_numpy(g), 0)


def test_arrays_of_both_sides_do_not_mix(device):
    with device.active(), pytest.raises(TypeError):
        ops.add(device.array(np.ones(2)), np.ones(2))
