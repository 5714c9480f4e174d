"""SFT on a GPU: the steps of the CPU, from the optimizer state that a run on the CPU left."""

from pathlib import Path

import numpy as np
import pytest

from nanochat_np.cli import main
from nanochat_np.train.checkpoint import load, step_folders
from tests.train.lab import TINY_PRETRAIN, events, quicken


def test_a_run_is_that_of_the_cpu(device, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    quicken(monkeypatch)
    short = ("--eval-every=0", "--save-every=0", "--sample-tokens=1", "--dtype=float64", "--eval-tokens=64")
    assert main(["pretrain", *TINY_PRETRAIN, "--num-iterations=2", *short[:-1], "--device=cpu", "--out=base"]) == 0
    sft = ("sft", "--quiet", "--base=base", "--data=identity", "--max-seq-len=64", "--total-batch-size=256", *short)
    for name in ("cpu", device.name):
        assert main([*sft, "--num-iterations=2", f"--device={name}", f"--out={name.replace(':', '')}"]) == 0
    runs = Path("cpu"), Path(device.name.replace(":", ""))
    cpu, gpu = (load(step_folders(run / "checkpoints")[0]) for run in runs)
    for name, values in cpu.weights.items():
        np.testing.assert_allclose(gpu.weights[name], values, rtol=1e-6, atol=1e-9)
    evals, samples = ([events(run, kind) for run in runs] for kind in ("eval", "sample"))
    for name in ("val_loss", "docs_bpb"):
        assert evals[1][-1][name] == pytest.approx(evals[0][-1][name], rel=1e-6)
    assert samples[0] == samples[1]
