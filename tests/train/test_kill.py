"""Processes that are killed, interrupted, or run for long: what only the real thing shows."""

import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.train.lab import BIGRAM, FUSED, TINY_GPT, TINY_PRETRAIN, events, final_bytes

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(os.name != "posix", reason="needs signals"),
]
PROGRAM = [sys.executable, "-m", "nanochat_np"]
RUN = ("--data=stories:4000", "--sample-tokens=9", "--quiet")


@pytest.fixture(autouse=True)
def _here(tmp_path_factory, monkeypatch):
    monkeypatch.chdir(tmp_path_factory.mktemp("runs"))  # on a real disk
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[2]))


def started(*flags: str, command: str = "train") -> subprocess.Popen[str]:
    return subprocess.Popen([*PROGRAM, command, *flags], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def ended(process: subprocess.Popen[str]) -> tuple[int, str]:
    _, err = process.communicate(timeout=60)
    return process.returncode, err


def undisturbed(*flags: str, command: str = "train") -> None:
    """The run in ``whole``."""
    assert ended(started(*flags, "--out=whole", command=command)) == (0, "")


def until_it_trains(process: subprocess.Popen[str]) -> None:
    """Wait until the run in ``run`` takes steps, or ends."""
    metrics = Path("run/metrics.jsonl")
    before = metrics.stat().st_size if metrics.exists() else 0
    while process.poll() is None and (not metrics.exists() or metrics.stat().st_size <= before):
        time.sleep(0.005)


def assert_as_if_undisturbed() -> None:
    one, other = Path("whole"), Path("run")
    assert final_bytes(other) == final_bytes(one)
    assert events(other) == events(one)
    assert [event["step"] for event in events(other, "step")] == list(range(1, len(events(one, "step")) + 1))
    summaries = [json.loads((run / "summary.json").read_text()) for run in (one, other)]
    for name in ("train_loss", "mean_loss_last_n", "val_loss", "val_bpb", "sample", "samples", "steps"):
        assert summaries[0].get(name) == summaries[1].get(name)
    leftovers = {str(path.relative_to(run)) for run in (one, other) for path in run.rglob(".*")}
    assert leftovers == {".lock"}


LAB = (*RUN, *TINY_GPT, "--steps=1000", "--checkpoint-every=3", "--eval-every=6")
PRETRAIN = ("--num-iterations=300", "--save-every=3", "--eval-every=6", "--sample-every=9", "--sample-tokens=4")
CASES = {
    "tensor": ("train", LAB),
    "scalar": ("train", (*LAB, "--mode=scalar")),
    "pretrain": ("pretrain", (*TINY_PRETRAIN, *PRETRAIN)),
    "sft": (
        "sft",
        (
            "--quiet",
            "--base=base",
            "--data=identity",
            "--max-seq-len=64",
            "--total-batch-size=128",
            "--eval-tokens=64",
            *PRETRAIN,
        ),
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_twenty_kills(case):
    """At any time: while it starts, trains, writes a checkpoint, validates, reports."""
    command, flags = CASES[case]
    if command == "sft":
        assert ended(started(*TINY_PRETRAIN, "--num-iterations=3", "--out=base", command="pretrain")) == (0, "")
    undisturbed(*flags, command=command)
    random_time, kills = random.Random(case).uniform, 0
    for attempt in range(20):
        process = started("--resume", *flags, "--out=run", command=command)
        if attempt % 4:
            until_it_trains(process)
        time.sleep(random_time(0, 0.1 if attempt % 4 else 0.5))
        process.kill()
        code, err = ended(process)
        assert code in (0, -signal.SIGKILL), err
        kills += code != 0
    assert kills > 10  # a fast machine is done before the last of them
    assert ended(started("--resume", "--quiet", "--out=run", command=command)) == (0, "")
    assert_as_if_undisturbed()


def test_signals_to_a_process():
    """Whenever one comes: exit code 130 and one line, and the run goes on from there."""
    flags = (*RUN, *TINY_GPT, "--steps=4000", "--checkpoint-every=1000")
    undisturbed(*flags)
    lines = []
    for number, in_training in ((signal.SIGTERM, False), (signal.SIGINT, True), (signal.SIGTERM, True)):
        process = started("--resume", *flags, "--out=run")
        if in_training:
            until_it_trains(process)
        time.sleep(0.1 if in_training else 0.3)
        process.send_signal(number)
        code, err = ended(process)
        assert (code, err.count("\n")) == (130, 1), err
        lines.append(err)
    assert all("interrupted" in line for line in lines)
    assert all("saved in run/checkpoints/step_" in line for line in lines[1:])
    assert ended(started("--resume", "--quiet", "--out=run")) == (0, "")
    assert final_bytes(Path("run")) == final_bytes(Path("whole"))


def test_two_processes_in_one_folder():
    flags = (*RUN, *TINY_GPT, "--steps=3000", "--out=run")
    processes = [started(*flags) for _ in range(3)]
    results = sorted(ended(process) for process in processes)
    assert [code for code, _ in results] == [0, 1, 1]
    for _, err in results[1:]:
        assert err.startswith("error: --out run: ")
    undisturbed(*flags[:-1])
    assert final_bytes(Path("run")) == final_bytes(Path("whole"))


FLAT = {
    "gpt": (*TINY_GPT, "--steps=10000", "--eval-every=500"),
    "scalar": (*TINY_GPT, "--mode=scalar", "--batch-size=4", "--steps=10000", "--eval-every=500"),
    "no evaluations": (*FUSED, "--steps=200000", "--eval-every=0", "--checkpoint-every=0"),
    "many evaluations": (*BIGRAM, "--steps=10000", "--eval-every=10"),
    "a large batch": ("--batch-size=5000", "--steps=40", "--eval-every=10"),
    "a large batch of pairs": (*BIGRAM, "--batch-size=100000", "--steps=200", "--eval-every=50"),
    "a wide model": ("--n-embd=128", "--block-size=64", "--n-layer=3", "--steps=30", "--eval-every=10"),
    "a large validation": ("--steps=100", "--eval-every=50", "--val-fraction=0.9", "--data=stories:1000000"),
    "one large validation": ("--steps=100", "--eval-every=0", "--val-fraction=0.9", "--data=stories:1000000"),
}


@pytest.mark.parametrize("case", FLAT)
def test_memory_is_flat(case):
    """Far below what the guard allows by default: no observation is a fifth over the baseline."""
    flags = FLAT[case]
    data = () if "--data=stories:1000000" in flags else ("--data=stories:4000",)
    guard = ("--memory-guard-ratio=1.2", "--memory-guard-window=5")
    assert ended(started("--quiet", "--sample-tokens=0", "--out=run", *data, *guard, *flags)) == (0, "")
