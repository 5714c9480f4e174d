"""Speedruns of several seeds side by side: what is there is not run again, and means are of all seeds."""

import json
from types import SimpleNamespace

import pytest
import speedrun_seeds as script


def finished(folder, right):
    """A run that has ended, its scores by stage growing to ``right``."""
    for name in script.KEPT:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text("{}")
    scores = {stage: {"spelling": right * n / 3, "bpb": 2.0 / n} for n, stage in enumerate(script.STAGES, 1)}
    summary = {"scores": scores, "seconds": {"pretrain": 60.4, "sft": 30.6}}
    (folder / "summary.json").write_text(json.dumps(summary))


@pytest.fixture
def runs(monkeypatch):
    """Commands that were run instead of speedruns, each of which leaves a finished run."""
    commands = []

    def run(command, **named):
        commands.append(command)
        folder = next(word.removeprefix("--out=") for word in command if word.startswith("--out="))
        if "--seed=9" in command:
            return SimpleNamespace(returncode=3)
        finished(script.Path(folder), 0.75)
        return SimpleNamespace(returncode=0)

    monkeypatch.setattr(script.subprocess, "run", run)
    return commands


def test_missing_seeds_are_run_and_all_are_set_side_by_side(runs, tmp_path):
    finished(tmp_path / "work" / "seed_1", 0.9)
    flags = ["--work", str(tmp_path / "work"), "--out", str(tmp_path / "out")]
    assert script.main(["--seeds=1,2", "--items=7", *flags]) == 0
    assert ["--seed=2" in command and "--items=7" in command for command in runs] == [True]
    readme = (tmp_path / "out" / "README.md").read_text()
    assert "| spelling | 27.5 % | 55.0 % | 82.5 % | 90.0 % | 75.0 % |" in readme
    assert "| held-out text, bits per byte | 2.0000 | 1.0000 | 0.6667 | 0.6667 | 0.6667 |" in readme
    assert "| 1 | 60 | 31 |" in readme
    assert (tmp_path / "out" / "seed_2" / "sft" / "env.json").exists()
    assert script.main(["--seeds=1,2", *flags]) == 0
    assert len(runs) == 1


def test_a_run_that_fails_ends_it(runs, tmp_path):
    assert script.main(["--seeds=9", "--work", str(tmp_path / "work"), "--out", str(tmp_path / "out")]) == 3
    assert not (tmp_path / "out").exists()
