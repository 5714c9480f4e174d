"""The arithmetic that a device can do at best: what MFU, the share of it that training uses, is measured against."""

import re
import time

import numpy as np

from nanochat_np.backend.device import Device
from nanochat_np.backend.products import array_dtype, products_in
from nanochat_np.ops.matmul import matmul

# Dense bfloat16 products on tensor cores, in 10^12 operations a second, by the name that the driver gives; the first
# pattern found counts.  Source: NVIDIA's data sheets, as nanochat (92d63d4, common.py) lists them.
_TERAFLOPS = {
    r"gb200|grace blackwell": 2500,
    r"b200": 2250,
    r"b100": 1800,
    r"h200.*(nvl|pcie)": 836,
    r"g?h200": 989,
    r"h100.*nvl": 835,
    r"h100.*pcie": 756,
    r"h100": 989,
    r"h800.*nvl": 989,
    r"h800": 756,
    r"a[18]00": 312,
    r"a40": 149.7,
    r"a30": 165,
    r"l40[- ]?s": 362,
    r"l4": 121,
    r"5090": 209.5,
    r"4090": 165.2,
    r"3090": 71,
}


def peak_flops(device: Device, dtype: str) -> float | None:
    """Operations a second of the largest matrix products on ``device``; None where that is not known.

    On the CPU that is measured, for a quarter of a second, in ``dtype`` ("float32", "float64" or "bfloat16").  On a GPU
    it is the published figure for bfloat16 on tensor cores whatever the ``dtype``, so that shares of it can be
    compared: a run in float32 gets nowhere near it.
    """
    if device.index is not None:
        return peak_of_gpu(device.xp.cuda.runtime.getDeviceProperties(device.index)["name"].decode())
    return 1e9 * gemm_gflops(dtype)


def peak_of_gpu(name: str) -> float | None:
    """The table's figure for a GPU of this name."""
    found = (flops for pattern, flops in _TERAFLOPS.items() if re.search(rf"\b({pattern})\b", name.lower()))
    teraflops = next(found, None)
    return None if teraflops is None else 1e12 * teraflops


def gemm_gflops(dtype: str, size: int = 1024, seconds: float = 0.2) -> float:
    """Speed of ``size``³ products as a model takes them, in 10⁹ operations a second: the fastest within ``seconds``."""
    a, b = np.random.default_rng(0).random((2, size, size)).astype(array_dtype(dtype))
    with products_in(dtype):
        product = matmul(a, b)  # threads start, buffers come
        fastest, end = np.inf, time.perf_counter() + seconds
        while (begin := time.perf_counter()) < end:
            matmul(a, b, out=product)
            fastest = min(fastest, time.perf_counter() - begin)
    return 2 * size**3 / fastest / 1e9
