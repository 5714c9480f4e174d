"""The memory guard, alone and in a run with a leak."""

import mmap
from pathlib import Path

import pytest

from nanochat_np.backend.memory import resident_bytes
from nanochat_np.errors import MemoryDrift
from nanochat_np.evaluate import validation
from nanochat_np.train import loop
from nanochat_np.train.guards import MemoryDriftGuard
from nanochat_np.train.tensor import TensorTrainer
from tests.train.lab import TINY_GPT, events

MIB = 2**20


def fed(guard: MemoryDriftGuard, *mebibytes: float) -> None:
    for amount in mebibytes:
        guard.observe(int(amount * MIB))


def test_the_baseline_is_the_most_of_the_first_window():
    guard = MemoryDriftGuard(1.5, 3)
    fed(guard, 80, 100, 90, 140, 150, 20, 150)
    assert guard.baseline == 100 * MIB
    with pytest.raises(MemoryDrift, match=r"drift: 151 MiB is 1\.51 times the baseline of 100 MiB, .* 1\.5$"):
        fed(guard, 151)


def test_a_slow_leak_is_seen():
    guard = MemoryDriftGuard(1.2, 4)
    amounts = [100 * 1.01**n for n in range(40)]
    with pytest.raises(MemoryDrift):
        fed(guard, *amounts)


def test_growth_within_the_window_is_warm_up():
    fed(MemoryDriftGuard(1.5, 3), 10, 100, 1000, 1400)


def test_off():
    fed(MemoryDriftGuard(0, 1), 1, 10**6)


def test_restart():
    guard = MemoryDriftGuard(1.5, 2)
    fed(guard, 10, 10)
    guard.restart()
    fed(guard, 100, 100, 149)
    with pytest.raises(MemoryDrift):
        fed(guard, 151)


@pytest.fixture
def memory(monkeypatch):
    """What the process seems to hold, in MiB."""
    held = {"MiB": 100.0}
    monkeypatch.setattr("nanochat_np.backend.memory.resident_bytes", lambda: int(held["MiB"] * MIB))
    return held


def leaking(monkeypatch, memory, module, name, amount):
    function = getattr(module, name)

    def leak(*arguments, **options):
        memory["MiB"] += amount
        return function(*arguments, **options)

    monkeypatch.setattr(module, name, leak)


SINGLE = (*TINY_GPT, "--batch-size=2", "--steps=40")


def test_a_leak_in_training(lab, monkeypatch, memory):
    monkeypatch.setattr(loop, "_CHUNK_SECONDS", 0)
    with monkeypatch.context() as patch:
        leaking(patch, memory, TensorTrainer, "advance", 10)
        message = lab.train(*SINGLE, "--out=run", "--memory-guard-window=4").error(3)
    # Warming up took 10 MiB and the window of 4 chunks 40; 1.5 times 150 are passed after 12 more.
    assert "memory drift: 230 MiB is 1.53 times the baseline of 150 MiB, --memory-guard-ratio allows 1.5" in message
    assert "saved in run/checkpoints/step_000012: go on from there with --resume" in message
    memory["MiB"] = 100
    lab.trained(*SINGLE, "--out=whole")
    assert lab.resume("--out=run").code == 0
    assert events(Path("run"), "step") == events(Path("whole"), "step")


def test_a_leak_in_evaluation(lab, monkeypatch, memory):
    leaking(monkeypatch, memory, validation, "_nll", 1)
    monkeypatch.setattr(validation, "_FLOATS", 4000)  # about 20 batches
    message = lab.train(*SINGLE, "--eval-every=10", "--out=run", "--memory-guard-ratio=1.4").error(3)
    assert "memory drift" in message
    assert events(Path("run"), "eval")


@pytest.mark.parametrize(
    ("flag", "code"),
    [
        ("--memory-guard-ratio=0", 0),
        ("--memory-guard-ratio=9", 0),
        ("--memory-guard-window=40", 0),
        ("--memory-guard-ratio=1.1", 3),
    ],
)
def test_the_flags(lab, monkeypatch, memory, flag, code):
    monkeypatch.setattr(loop, "_CHUNK_SECONDS", 0)
    leaking(monkeypatch, memory, TensorTrainer, "advance", 10)
    assert lab.train(*SINGLE, flag).code == code


@pytest.mark.parametrize("evaluations", ["--eval-every=0", "--eval-every=30"])
def test_an_evaluation_may_take_more_than_training(lab, monkeypatch, memory, evaluations):
    """The first one, whether at the start, late or at the end, is no drift, and what the heap keeps of it neither."""
    nll = validation._nll

    def large(*arguments):
        memory["MiB"] = 300
        return nll(*arguments)

    monkeypatch.setattr(loop, "_CHUNK_SECONDS", 0)
    monkeypatch.setattr(validation, "_nll", large)
    assert lab.train(*SINGLE, evaluations, "--out=run", "--memory-guard-window=3").code == 0
    memory["MiB"] = 100
    assert lab.resume("--out=run", "--steps=70", "--eval-every=60").code == 0  # its first evaluation is after 20 steps


def test_a_real_leak(lab, monkeypatch):
    """With the memory that the system says this process has."""
    kept = []
    advance = TensorTrainer.advance

    def leak(self, first, starts, lrs):
        # A share of what the process has, from the system: the heap may still have room that other tests left.
        leaked = mmap.mmap(-1, resident_bytes() // 40)
        leaked.write(b"x" * len(leaked))
        kept.append(leaked)
        return advance(self, first, starts, lrs)

    monkeypatch.setattr(loop, "_CHUNK_SECONDS", 0)
    monkeypatch.setattr(TensorTrainer, "advance", leak)
    flags = (*SINGLE, "--memory-guard-window=2", "--memory-guard-ratio=1.05")
    assert "memory drift" in lab.train(*flags).error(3)
