"""Ctrl-C and SIGTERM, at every stage of a run."""

import os
import signal
import threading
from pathlib import Path

import pytest

from nanochat_np.train import character, run
from nanochat_np.train.interrupts import stop_at_once, stop_request
from nanochat_np.train.locate import load_newest
from tests.train.lab import FUSED, TINY_GPT, events, final_bytes, watch

SIGNALS = pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=["SIGINT", "SIGTERM"])


def at_step(step: int, *numbers: int):
    """Send the signals after the first chunk that reaches a step, once."""
    left = list(numbers)

    def send(now: int) -> None:
        while now >= step and left:
            signal.raise_signal(left.pop())

    return send


@pytest.mark.parametrize(
    ("number", "flags"), [(signal.SIGINT, TINY_GPT), (signal.SIGTERM, FUSED)], ids=["gpt", "fused"]
)
def test_during_training(lab, monkeypatch, number, flags):
    lab.trained(*flags, "--steps=30", "--out=whole")
    watch(monkeypatch, at_step(5, number))
    assert lab.train(*flags, "--steps=30", "--out=run").error(130) == (
        "interrupted after step 7; saved in run/checkpoints/step_000007: go on from there with --resume"
    )
    assert len(events(Path("run"), "step")) == 7
    assert not Path("run/summary.json").exists()
    assert lab.resume("--out=run").code == 0
    assert final_bytes(Path("run")) == final_bytes(Path("whole"))


def test_the_second_time_it_ends_at_once(lab, monkeypatch):
    watch(monkeypatch, at_step(1, signal.SIGTERM, signal.SIGINT))
    assert lab.train(*TINY_GPT, "--steps=30", "--out=run").error(130) == "interrupted"
    assert load_newest(Path("run/checkpoints"), print) is None
    assert lab.resume("--out=run").code == 0


def test_with_json(lab, monkeypatch):
    watch(monkeypatch, at_step(1, signal.SIGTERM))
    result = lab.train(*TINY_GPT, "--steps=30", "--out=run", "--json")
    assert result.code == 130
    assert result.summary["error"]["type"] == "Interrupted"
    assert "step_000001" in result.summary["error"]["message"]


@pytest.mark.parametrize("step", [0, 4, 8])
def test_during_an_evaluation(lab, monkeypatch, step):
    flags = (*TINY_GPT, "--steps=8", "--eval-every=4")
    lab.trained(*flags, "--out=whole")
    validate, steps = character.validate, iter([0, 4, 8])

    def interrupted(*arguments, observe, **options):
        def observe_and_send() -> None:
            if next(steps) == step:
                signal.raise_signal(signal.SIGINT)
            observe()

        monkeypatch.setattr("nanochat_np.evaluate.validation._FLOATS", 10**9)  # one batch
        return validate(*arguments, observe=observe_and_send, **options)

    with monkeypatch.context() as patch:
        patch.setattr(character, "validate", interrupted)
        message = lab.train(*flags, "--out=run", "--val-tokens=4").error(130)
    assert f"interrupted after step {step}; saved in run/checkpoints/step_00000{step}" in message
    assert lab.resume("--out=run", "--val-tokens=0").code == 0
    assert final_bytes(Path("run")) == final_bytes(Path("whole"))
    assert [event["step"] for event in events(Path("run"), "eval")] == [0, 4, 8]


def test_while_a_checkpoint_is_written(lab, monkeypatch):
    """The first signal waits for it; the second leaves what was there before."""
    fsync = os.fsync
    for signals, message in ((1, "interrupted after step 4; saved in 1/checkpoints/step_000004"), (2, "interrupted")):
        run, left = Path(str(signals)), [signal.SIGINT] * signals

        def send(fd: int, run: Path = run, left: list[int] = left) -> None:
            while left and (run / "checkpoints").exists():
                signal.raise_signal(left.pop())
            fsync(fd)

        with monkeypatch.context() as patch:
            patch.setattr(os, "fsync", send)
            result = lab.train(*TINY_GPT, "--steps=8", "--checkpoint-every=4", f"--out={run}")
        assert result.error(130).startswith(message)
        assert {path.name for path in run.glob("checkpoints/*")} == (
            {"step_000004", "latest"} if signals == 1 else set()
        )
        assert lab.resume(f"--out={run}").code == 0
    assert final_bytes(Path("1")) == final_bytes(Path("2"))


@SIGNALS
def test_during_start_up(lab, monkeypatch, number):
    """There is nothing to save: it ends at once and leaves nothing behind."""

    def load(*arguments):
        signal.raise_signal(number)
        raise AssertionError("went on")

    monkeypatch.setattr(run, "load_dataset", load)
    assert lab.train("--out=run").error(130) == "interrupted"
    assert list(Path().iterdir()) == []


@SIGNALS
def test_during_the_report(lab, monkeypatch, number):
    with monkeypatch.context() as patch:
        patch.setattr(run, "baselines", lambda *a: signal.raise_signal(number))
        message = lab.train(*TINY_GPT, "--steps=3", "--out=run").error(130)
    assert message == "interrupted after step 3; saved in run/checkpoints/step_000003: go on from there with --resume"
    assert lab.resume("--out=run", "--json").summary["steps"] == 3
    assert Path("run/summary.json").exists()


def test_handlers_are_put_back(lab, monkeypatch):
    before = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
    lab.train(*TINY_GPT, "--steps=1")
    watch(monkeypatch, at_step(1, signal.SIGINT))
    lab.train(*TINY_GPT, "--steps=9", "--out=run")
    assert [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)] == before


@SIGNALS
def test_a_signal_that_the_process_ignores_is_ignored(number):
    """As a job in the background of a script ignores Ctrl-C, which is meant for the one in front."""
    before = signal.signal(number, signal.SIG_IGN)
    try:
        with stop_at_once(), stop_request() as stop:
            signal.raise_signal(number)
        assert not stop.asked
        assert signal.getsignal(number) is signal.SIG_IGN
    finally:
        signal.signal(number, before)


def test_outside_the_main_thread(lab):
    """Python allows no handlers there; training works all the same."""
    codes = []
    thread = threading.Thread(target=lambda: codes.append(lab.train(*TINY_GPT, "--steps=2").code))
    thread.start()
    thread.join()
    assert codes == [0]
