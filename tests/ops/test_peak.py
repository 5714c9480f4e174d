"""The peak that MFU is measured against: of a GPU by its name, of the CPU by a product."""

from types import SimpleNamespace

import numpy as np
import pytest

from nanochat_np.backend.device import Device
from nanochat_np.backend.products import product_dtype
from nanochat_np.ops import peak


@pytest.mark.parametrize(
    ("name", "teraflops"),
    [
        ("NVIDIA H200", 989),
        ("NVIDIA H200 NVL", 836),
        ("NVIDIA GH200 480GB", 989),
        ("NVIDIA GB200", 2500),
        ("NVIDIA B200", 2250),
        ("NVIDIA H100 80GB HBM3", 989),
        ("NVIDIA H100 PCIe", 756),
        ("NVIDIA H100 NVL", 835),
        ("NVIDIA A100-SXM4-80GB", 312),
        ("NVIDIA A40", 149.7),
        ("NVIDIA RTX A4000", None),
        ("NVIDIA L40S", 362),
        ("NVIDIA L40", None),
        ("NVIDIA L4", 121),
        ("NVIDIA GeForce RTX 4090", 165.2),
        ("Tesla T4", None),
    ],
)
def test_a_gpu_is_known_by_its_name(name: str, teraflops: float | None) -> None:
    assert peak.peak_of_gpu(name) == (teraflops and pytest.approx(1e12 * teraflops))


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_a_gpu_has_one_peak_for_every_precision(monkeypatch: pytest.MonkeyPatch, dtype: str) -> None:
    runtime = SimpleNamespace(getDeviceProperties=lambda index: {"name": [b"Tesla T4", b"NVIDIA H200"][index]})
    monkeypatch.setattr(Device, "xp", SimpleNamespace(cuda=SimpleNamespace(runtime=runtime)))
    assert peak.peak_flops(Device(1), dtype) == pytest.approx(989e12)
    assert peak.peak_flops(Device(0), dtype) is None


def test_the_cpu_is_measured_in_operations_a_second(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(peak, "gemm_gflops", {"float32": 500.0, "float64": 250.0}.__getitem__)
    assert [peak.peak_flops(Device(), dtype) for dtype in ("float32", "float64")] == [500e9, 250e9]


def test_the_fastest_product_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = iter([0.0, 0.0, 0.3, 0.3, 0.4, 0.4, 1.0, 1.0])  # products of 0.3, 0.1 and 0.6 s
    monkeypatch.setattr(peak.time, "perf_counter", lambda: next(clock))
    assert peak.gemm_gflops("float32", size=10, seconds=0.9) == pytest.approx(2000 / 0.1 / 1e9)


def test_products_are_of_the_precision_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[tuple[np.dtype, str]] = []
    matmul = peak.matmul
    monkeypatch.setattr(
        peak, "matmul", lambda a, b, out=None: (seen.append((a.dtype, product_dtype())), matmul(a, b, out=out))[1]
    )
    assert peak.gemm_gflops("float64", size=8, seconds=0.001) > 0
    assert peak.gemm_gflops("bfloat16", size=8, seconds=0.001) > 0
    assert set(seen) == {(np.dtype("float64"), "float32"), (np.dtype("float32"), "bfloat16")}
