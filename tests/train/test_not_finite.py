"""A loss or a weight that is not a number any more ends the run, and never gets into a checkpoint."""

import json
from pathlib import Path

import numpy as np
import pytest

from nanochat_np.train.checkpoint import load, step_folders
from nanochat_np.train.tensor import TensorTrainer
from tests.train.lab import BIGRAM, FUSED, TINY_GPT, events

WILD = ("--optimizer=sgd", "--grad-clip=0", "--lr-schedule=constant")
CASES = {
    "tensor": (*TINY_GPT, *WILD, "--lr=1e30"),
    "tensor float64": (*TINY_GPT, *WILD, "--lr=1e160", "--dtype=float64"),
    "scalar": (*TINY_GPT, *WILD, "--lr=1e160", "--mode=scalar"),
    "scalar bigram": (*BIGRAM, *WILD, "--lr=1e160", "--mode=scalar", "--no-input-rmsnorm"),
    "bigram": (*BIGRAM, *WILD, "--lr=1e30", "--no-input-rmsnorm"),
    "fused": (*FUSED, *WILD[1:], "--lr=1e30", "--no-input-rmsnorm"),
    "adamw": (*TINY_GPT, "--lr=1e30", "--lr-schedule=constant"),
}


@pytest.mark.parametrize("case", CASES)
def test_training_stops_at_the_step(lab, case):
    message = lab.train(*CASES[case], "--steps=60", "--checkpoint-every=1", "--out=run").error(3)
    run = Path("run")
    kept = step_folders(run / "checkpoints")
    for folder in kept:
        found = load(folder)
        assert all(np.isfinite(array).all() for array in found.weights.values())
        assert np.isfinite(found.meta.recent_losses).all()
    steps = events(run, "step")
    assert [event["step"] for event in steps] == list(range(1, len(steps) + 1))
    assert len(steps) < 60
    assert all(event["loss"] is not None for event in steps[:-1])
    (event,) = events(run, "not_finite")
    assert f"{event['what']} is not finite at step {event['step']}: lower --lr" in message
    assert event["step"] == steps[-1]["step"]
    assert (steps[-1]["loss"] is None) == ("loss" in event["what"])
    assert f"the last good checkpoint is {kept[0]}" in message if kept else "no checkpoint yet" in message
    assert not (run / "summary.json").exists()
    if kept:
        assert "not finite" in lab.resume("--out=run").error(3)


def test_steps_after_the_one_that_failed_are_not_reported(lab, monkeypatch):
    def losses(self, first, starts, lrs):
        count = len(lrs)
        numbers = np.arange(first + 1, first + count + 1, dtype=float)
        return np.where(numbers < 6, numbers, np.where(numbers == 6, np.inf, 1.0)), np.ones(count)

    monkeypatch.setattr(TensorTrainer, "advance", losses)
    assert "the loss (inf) is not finite at step 6" in lab.train(*TINY_GPT, "--steps=60", "--out=run").error(3)
    assert [(event["step"], event["loss"]) for event in events(Path("run"), "step")] == [
        (1, 1.0),
        (2, 2.0),
        (3, 3.0),
        (4, 4.0),
        (5, 5.0),
        (6, None),
    ]


def test_a_gradient_whose_norm_overflows_stops_before_clipping_makes_it_0(lab, monkeypatch):
    monkeypatch.setattr(TensorTrainer, "advance", lambda self, first, starts, lrs: (lrs, np.full_like(lrs, np.inf)))
    message = lab.train(*TINY_GPT, "--steps=60", "--out=run").error(3)
    assert "the gradient's norm (inf) is not finite at step 1" in message


@pytest.mark.parametrize("flags", [TINY_GPT, (*BIGRAM, "--batch-size=1", "--no-input-rmsnorm")], ids=["gpt", "fused"])
def test_the_very_last_update(lab, flags):
    """No loss is computed after it: the weights themselves are looked at before they are saved."""
    message = lab.train(*flags, *WILD, "--lr=1e39", "--steps=1", "--out=run").error(3)
    assert "a parameter is not finite at step 1" in message
    assert "there is no checkpoint yet" in message
    assert step_folders(Path("run/checkpoints")) == []
    assert [event["event"] for event in events(Path("run"))] == ["step", "not_finite"]


def test_weights_that_are_numbers_but_too_large(lab):
    """Their validation shows it; a report of NaN would look like a success."""
    wild = (*BIGRAM, "--mode=scalar", "--no-input-rmsnorm", *WILD, "--lr=1e200", "--steps=1", "--out=run")
    message = lab.train(*wild, "--json")
    assert message.code == 3
    assert "the validation loss" in json.loads(message.out)["error"]["message"]
    assert "step 1" in message.err
