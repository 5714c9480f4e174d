"""Pretraining on a GPU: the steps of the CPU, checkpoints, resume, validation and samples."""

import json
from pathlib import Path

import numpy as np
import pytest

from nanochat_np.cli import main
from nanochat_np.train.checkpoint import load, step_folders
from tests.train.lab import TINY_PRETRAIN, quicken

FLAGS = ("pretrain", *TINY_PRETRAIN, "--dtype=float64", "--num-iterations=4", "--save-every=2", "--sample-tokens=2")


def run(name: str, *flags: str) -> Path:
    assert main([*FLAGS, f"--out={name}", *flags]) == 0
    return Path(name)


@pytest.mark.parametrize("architecture", ["current", pytest.param("classic", marks=pytest.mark.slow)])
def test_a_run_is_that_of_the_cpu_and_goes_on_exactly(device, tmp_path, monkeypatch, architecture):
    monkeypatch.chdir(tmp_path)
    quicken(monkeypatch)
    kind = f"--architecture={architecture}"
    flags = (kind, f"--device={device.name}", "--recompute")
    runs = run("cpu", kind, "--device=cpu"), run("gpu", *flags), run("short", *flags)
    newest = step_folders(runs[2] / "checkpoints")[0]
    newest.rename(newest.with_name("gone"))
    assert main(["pretrain", "--quiet", "--resume", "--out=short"]) == 0
    cpu, gpu, resumed = (load(step_folders(path / "checkpoints")[0]) for path in runs)
    for name, values in cpu.weights.items():
        np.testing.assert_allclose(gpu.weights[name], values, rtol=1e-6, atol=1e-9)
        np.testing.assert_allclose(resumed.weights[name], gpu.weights[name], rtol=1e-9, atol=1e-12)
    summaries = [json.loads((path / "summary.json").read_text()) for path in runs]
    assert summaries[1]["device"] == device.name
    assert summaries[1]["val_bpb"] == pytest.approx(summaries[0]["val_bpb"], rel=1e-6)
    assert summaries[1]["samples"] == summaries[0]["samples"]
