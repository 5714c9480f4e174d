"""Metrics go to other places too, and none of these can end a run."""

import sys
from types import SimpleNamespace

import pytest

from nanochat_np.errors import ConfigError
from nanochat_np.train.sinks import numbers_of, open_sinks, require_sinks
from tests.train.lab import events

STEP = {"event": "step", "step": 3, "loss": 2.5, "mfu": None, "note": "x", "epoch": 1}


class Service:
    """What wandb and trackio look like, and what TensorBoard's writer does."""

    def __init__(self, fails: bool = False) -> None:
        self.written, self.begun, self.ended, self.fails = [], [], 0, fails

    def init(self, **about):
        self.begun.append(about)
        return self

    def log(self, numbers, step):
        if self.fails:
            raise OSError("no route to host")
        self.written.append((step, numbers))

    def finish(self):
        self.ended += 1

    def add_scalar(self, key, value, step):
        self.log({key: value}, step)

    close = finish


def test_numbers_of_an_event():
    assert numbers_of(STEP) == {"train/loss": 2.5, "train/epoch": 1.0}
    assert numbers_of({"event": "eval", "step": 3, "val_bpb": 1.0}) == {"val/val_bpb": 1.0}
    assert numbers_of({"event": "checkpoint", "step": 3, "path": "p"}) == {}


@pytest.mark.parametrize("sink", ["wandb", "trackio", "tensorboard"])
def test_a_sink_hears_of_every_event(tmp_path, monkeypatch, sink):
    service = Service()
    module = SimpleNamespace(init=service.init, SummaryWriter=lambda folder: service)
    monkeypatch.setitem(sys.modules, "tensorboardX" if sink == "tensorboard" else sink, module)
    with open_sinks((sink,), tmp_path, "name", {"depth": 4}, print) as write:
        write(STEP)
        write({"event": "checkpoint", "step": 3, "path": "p"})
    seen = {}
    for step, numbers in service.written:
        assert step == 3
        seen |= numbers
    assert seen == {"train/loss": 2.5, "train/epoch": 1.0}
    assert service.ended == 1
    if sink != "tensorboard":
        assert (service.begun[0]["name"], service.begun[0]["config"]) == ("name", {"depth": 4})


def test_a_sink_that_fails_is_left_out(tmp_path, monkeypatch):
    bad, good, notes = Service(fails=True), Service(), []
    monkeypatch.setitem(sys.modules, "wandb", bad)
    monkeypatch.setitem(sys.modules, "trackio", good)
    with open_sinks(("wandb", "trackio"), tmp_path, "name", {}, notes.append) as write:
        write(STEP)
        write(STEP)
    assert notes == ["wandb takes no more metrics: no route to host"]
    assert len(good.written) == 2


def test_a_library_that_is_not_there(monkeypatch):
    monkeypatch.setitem(sys.modules, "trackio", None)
    with pytest.raises(ConfigError, match="--sinks trackio: not installed: pip install trackio"):
        require_sinks(("trackio",))


def test_a_run_with_a_sink(lab, monkeypatch):
    service = Service()
    monkeypatch.setitem(sys.modules, "wandb", service)
    run = lab.pretrained("--out=run", "--sinks=wandb", "--run=mine", "--num-iterations=2")
    assert service.begun[0]["name"] == "mine"
    losses = [numbers["train/loss"] for _, numbers in service.written if "train/loss" in numbers]
    assert losses == [event["loss"] for event in events(run, "step")]
    assert [numbers["val/val_bpb"] for _, numbers in service.written if "val/val_bpb" in numbers]
