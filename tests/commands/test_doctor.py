"""What ``doctor`` reports, and advises on machines that the test makes up."""

import json
from pathlib import Path
from typing import Any

import pytest

from nanochat_np.backend import environment
from nanochat_np.commands import doctor, doctor_gpu
from nanochat_np.config import DoctorConfig
from nanochat_np.errors import ConfigError

FAST = {"flags": " ".join(environment.AVX512)}


def _blas(**changes: Any) -> dict[str, Any]:
    return {"kernel": "SkylakeX", "threads": 8, "cpus": 8, "set_by_user": {}} | changes


def test_the_report_is_the_summary(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "speed_section", lambda: {"float32_gflops": 525.0, "memory_copy_gb_per_s": 60.0})
    summary = doctor.run(DoctorConfig(), frozenset())
    text = capsys.readouterr().out
    assert json.loads(json.dumps(summary)) == summary
    sections = [name for name in summary if name not in ("command", "advice")]
    assert sections == ["versions", "cpu", "blas", "numba", "kernels", "speed", "gpu", "generated_code"]
    assert "tiles of" in summary["kernels"]["bfloat16_products"]
    for name in ("nanochat np", "python", "numpy", "model", "cpus usable", "kernel", "float32 gflops", "cache folder"):
        assert f"\n  {name} " in text
    for line in summary["advice"]:
        assert f"\n  - {line}" in text


def test_names_and_values_are_aligned() -> None:
    text = doctor.report(
        {"a_b": {"x": 1, "long_name": None}, "c": {"yy": [True], "z": {"k": "v"}, "e": []}}, ["mend it"]
    )
    assert text.splitlines() == [
        "a b",
        "  x          1",
        "  long name  not found",
        "c",
        "  yy         True",
        "  z          k=v",
        "  e          none",
        "advice",
        "  - mend it",
    ]
    assert doctor.report({"c": {"on": True}}, []).splitlines() == ["c", "  on  yes", "advice: none, all is well"]


@pytest.mark.parametrize(
    ("blas", "cpu", "advice"),
    [
        (_blas(), FAST, []),
        (_blas(kernel="Haswell"), {}, []),
        (_blas(kernel=None, threads=None), FAST, []),
        (_blas(kernel="Haswell"), FAST, ["export OPENBLAS_CORETYPE=SkylakeX"]),
        (_blas(kernel="Zen", set_by_user={"OPENBLAS_CORETYPE": "Zen"}), FAST, ["unset OPENBLAS_CORETYPE"]),
        (_blas(threads=2), FAST, []),
        (_blas(threads=1, set_by_user={"OMP_NUM_THREADS": "1"}), FAST, ["unset OMP_NUM_THREADS, or give --threads"]),
    ],
)
def test_advice_on_blas(blas: dict[str, Any], cpu: dict[str, str], advice: list[str]) -> None:
    lines = doctor.blas_advice(blas, cpu)
    assert len(lines) == len(advice)
    assert all(line.endswith(end) for line, end in zip(lines, advice, strict=True))


BOTH = {"cupy-cuda12x": "14.2.0", "cupy-cuda13x": "14.2.0"}


@pytest.mark.parametrize(
    ("wheels", "driver", "advice"),
    [
        (BOTH, "580.65", "pip uninstall -y cupy-cuda12x cupy-cuda13x && pip install 'nanochat-np[cuda13]'"),
        (BOTH, "550.54", "pip uninstall -y cupy-cuda12x cupy-cuda13x && pip install 'nanochat-np[cuda12]'"),
        ({}, "550.54.15", "NVIDIA driver 550.54.15 is there, CuPy is not: pip install 'nanochat-np[cuda12]'"),
        ({}, "580.65.06", "NVIDIA driver 580.65.06 is there, CuPy is not: pip install 'nanochat-np[cuda13]'"),
        ({}, None, "install its driver, then pip install 'nanochat-np[cuda13]'"),
        ({"cupy-cuda12x": "14.2.0"}, "550.54", "the reason"),
    ],
)
def test_advice_on_a_gpu_that_cannot_be_used(wheels: dict[str, str], driver: str | None, advice: str) -> None:
    assert doctor_gpu.gpu_advice(wheels, driver, "the reason").endswith(advice)


@pytest.mark.parametrize(
    ("text", "version"),
    [
        (
            "NVRM version: NVIDIA UNIX x86_64 Kernel Module  550.54.15  Tue Mar  5 22:23:56 UTC 2024\nGCC 12.2.0",
            "550.54.15",
        ),
        ("NVRM version: NVIDIA UNIX Open Kernel Module for x86_64  580.65.06  Release Build  (b@c)\n", "580.65.06"),
        ("something else", None),
        (None, None),
    ],
)
def test_the_driver(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str | None, version: str | None) -> None:
    monkeypatch.setattr(doctor_gpu, "DRIVER", tmp_path / "version")
    if text is not None:
        (tmp_path / "version").write_text(text)
    assert doctor_gpu.driver_version() == version


class Wheel:
    """A distribution as importlib.metadata gives it."""

    def __init__(self, name: str) -> None:
        self.name, self.version = name, "14.2.0"


def test_wheels_of_cupy_are_found_by_name_without_importing_them(monkeypatch: pytest.MonkeyPatch) -> None:
    names = ["numpy", "cupy-cuda13x", "CuPy-cuda12x", "cupyx-docs", "cupy"]
    monkeypatch.setattr(doctor_gpu.metadata, "distributions", lambda: map(Wheel, names))
    assert list(doctor_gpu.cupy_wheels()) == ["cupy", "cupy-cuda12x", "cupy-cuda13x"]


def test_two_wheels_are_a_problem_and_are_not_imported(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor_gpu.metadata, "distributions", lambda: map(Wheel, BOTH))
    monkeypatch.setattr(doctor_gpu, "find_cuda", lambda: pytest.fail("CuPy was imported"))
    section, advice = doctor_gpu.gpu_section()
    assert section["cupy"] == ["cupy-cuda12x 14.2.0", "cupy-cuda13x 14.2.0"]
    assert section["devices"] == []
    assert "overwrite each other" in advice[0]


class Runtime:
    """CUDA's runtime as CuPy shows it, with two devices."""

    def getDeviceCount(self) -> int:
        return 2

    def getDeviceProperties(self, index: int) -> dict[str, Any]:
        return {"name": b"NVIDIA H200", "totalGlobalMem": (140 + index) * 2**30}


def test_devices_are_listed_where_a_gpu_can_be_used(monkeypatch: pytest.MonkeyPatch) -> None:
    cupy = type("CuPy", (), {"cuda": type("Cuda", (), {"runtime": Runtime()})})
    monkeypatch.setattr(doctor_gpu.metadata, "distributions", lambda: [Wheel("cupy-cuda12x")])
    monkeypatch.setattr(doctor_gpu, "find_cuda", lambda: (True, ""))
    monkeypatch.setattr(doctor_gpu, "cupy_or_none", lambda: cupy)
    section, advice = doctor_gpu.gpu_section()
    assert section["devices"] == ["cuda:0 NVIDIA H200, 140 GiB", "cuda:1 NVIDIA H200, 141 GiB"]
    assert advice == []


def test_a_depth_without_a_plan_is_refused() -> None:
    with pytest.raises(ConfigError, match="--plan"):
        doctor.run(DoctorConfig(depth=6), frozenset({"depth"}))


def test_the_plan_of_memory(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    summary = doctor.run(DoctorConfig(plan=True, depth=6), frozenset())
    plan = summary["memory"]
    assert (plan["layers"], plan["width"]) == (6, 384)
    parts = "parameters", "gradient", "moments", "head_packed", "kept_for_backward"
    assert plan["of_a_step_mib"] == pytest.approx(sum(plan[f"{part}_mib"] for part in parts), abs=3)
    assert plan["parameters_mib"] < plan["moments_mib"] < 2 * plan["parameters_mib"]
    assert summary["advice"] == []
    assert "of a step mib" in capsys.readouterr().out
    assert "more than there is" in doctor.run(DoctorConfig(plan=True, depth=400), frozenset())["advice"][0]
