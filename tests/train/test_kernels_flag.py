"""``--kernels`` decides who computes, and the run's environment tells who did."""

import json

import pytest

from nanochat_np.train import gpt_run
from nanochat_np.train.env_record import env_record
from tests.train.lab import losses

pytestmark = pytest.mark.usefixtures("kernels_as_before")


def test_either_way_trains_the_same_model(lab, monkeypatch):
    monkeypatch.setattr(gpt_run, "env_record", env_record)
    found = {}
    for choice, used in (("numpy", "numpy"), ("numba", "numba"), ("auto", "numba")):
        run = lab.pretrained(f"--out={choice}", f"--kernels={choice}")
        assert json.loads((run / "env.json").read_text())["kernels"] == used
        found[choice] = losses(run)
    assert found["numba"] == found["auto"]
    assert found["numpy"] == pytest.approx(found["auto"], rel=1e-4)


def test_an_unknown_choice(lab):
    assert "--kernels" in lab.pretrain("--out=run", "--kernels=fast").error(1)
