"""Training runs of a second's fraction through the command line, and what they leave."""

import json
import os
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from nanochat_np.cli import main
from nanochat_np.command_line.console import Progress
from nanochat_np.commands import stage_run
from nanochat_np.commands import train as train_command
from nanochat_np.data.loader import packed_batches
from nanochat_np.train import fine_tune_run, gpt_run, pretrain, pretrain_run, run
from nanochat_np.train.checkpoint import step_folders

DATA = "stories:4000"
TINY_GPT = ("--n-embd=4", "--n-head=2", "--block-size=4")
BIGRAM = ("--model-kind=bigram",)
TINY_PRETRAIN = (
    *("--quiet", "--data=stories:20000", "--vocab-size=300", "--depth=1", "--aspect-ratio=32", "--head-dim=16"),
    *("--max-seq-len=16", "--device-batch-size=2", "--total-batch-size=64", "--warmup-steps=2", "--eval-tokens=64"),
)
_SHORT_PRETRAIN = (*TINY_PRETRAIN, "--num-iterations=6", "--eval-every=0", "--save-every=0", "--sample-tokens=0")
FUSED = (*BIGRAM, "--optimizer=sgd", "--batch-size=1")  # the case of train.bigram_sgd


def quicken(monkeypatch: pytest.MonkeyPatch) -> None:
    """Spare runs what takes longer than their steps: the disk, git, a plot, a measurement, a crowd of documents."""
    monkeypatch.setattr(os, "fsync", lambda descriptor: None)
    for module in (run, gpt_run):
        monkeypatch.setattr(module, "env_record", lambda *about: {})
    monkeypatch.setattr(stage_run, "can_plot", lambda: False)
    for module in (pretrain_run, fine_tune_run):
        monkeypatch.setattr(module, "peak_flops", lambda device, dtype: 1e9)
    monkeypatch.setattr(pretrain, "packed_batches", partial(packed_batches, waiting_documents=20))


class Result(NamedTuple):
    """How a call of the program ended."""

    code: int
    out: str
    err: str

    @property
    def summary(self) -> dict[str, Any]:
        """The one JSON object on stdout."""
        return json.loads(self.out)

    def error(self, code: int) -> str:
        """The one line on stderr of a call that was to end with ``code``."""
        assert self.code == code, self
        assert self.out == ""
        lines = self.err.splitlines()
        assert len(lines) == 1, self
        assert lines[0].startswith("error: ") or code == 130
        return lines[0]


class Lab:
    """Calls of the program in a folder of the test's own."""

    def __init__(self, capsys: pytest.CaptureFixture[str]) -> None:
        self._capsys = capsys

    def __call__(self, *arguments: str) -> Result:
        self._capsys.readouterr()
        code = main(arguments)
        captured = self._capsys.readouterr()
        return Result(code, captured.out, captured.err)

    def train(self, *flags: str, data: str = DATA) -> Result:
        """``train`` with few words and few evaluations, except for what the flags say."""
        quick = ["--quiet", f"--data={data}", "--sample-tokens=0", "--eval-every=0"]
        return self("train", *_without(quick, flags), *flags)

    def pretrain(self, *flags: str) -> Result:
        """``pretrain`` of a tiny model, except for what the flags say."""
        return self("pretrain", *_without([*_SHORT_PRETRAIN], flags), *flags)

    def pretrained(self, *flags: str) -> Path:
        """The folder of a pretraining that ended well."""
        result = self.pretrain(*flags)
        assert result.code == 0, result
        return Path(next(flag for flag in flags if flag.startswith("--out=")).removeprefix("--out="))

    def resume(self, *flags: str) -> Result:
        return self("train", "--resume", "--quiet", *flags)

    def trained(self, *flags: str) -> Path:
        """The folder of a run that ended well."""
        result = self.train(*flags)
        assert result.code == 0, result
        return Path(next(flag for flag in flags if flag.startswith("--out=")).removeprefix("--out="))


def _without(defaults: list[str], flags: tuple[str, ...]) -> list[str]:
    names = {flag.partition("=")[0] for flag in flags}
    return [default for default in defaults if default.partition("=")[0] not in names]


_OF_THE_MACHINE = {"seconds", "tokens_per_sec", "mfu", "memory_mib", "rollout_seconds", "rollout_tokens_per_sec"}


def events(run: Path, *kinds: str) -> list[dict[str, Any]]:
    """The events of a run without what no two runs have in common: how long things took."""
    read = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    return [
        {k: v for k, v in event.items() if k not in _OF_THE_MACHINE}
        for event in read
        if event["event"] in (kinds or event["event"])
    ]


def step_lines(run: Path) -> list[str]:
    """The lines of metrics.jsonl of steps, as they stand."""
    return [line for line in (run / "metrics.jsonl").read_text().splitlines() if line.startswith('{"event":"step"')]


def losses(run: Path) -> list[float]:
    return [event["loss"] for event in events(run, "step")]


def final_bytes(run: Path) -> tuple[bytes, bytes]:
    """Weights and training state of the newest checkpoint, as they lie on the disk."""
    newest = step_folders(run / "checkpoints")[0]
    return (newest / "model.safetensors").read_bytes(), (newest / "state.safetensors").read_bytes()


def contents(folder: Path) -> dict[str, bytes]:
    """Every file below a folder, hidden ones too."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def flip(path: Path, position: int = -1) -> None:
    """Damage one bit of a file."""
    content = bytearray(path.read_bytes())
    content[position] ^= 1
    path.write_bytes(content)


class Watched(Progress):
    """Progress that calls a function with each step that it is told of."""

    def __init__(self, seen: Callable[[int], None]) -> None:
        super().__init__(0)
        self._seen = seen

    def update(self, step: int, **fields: Any) -> None:
        self._seen(step)

    def __enter__(self) -> "Watched":
        return self

    def __exit__(self, *error: object) -> None:
        pass


def watch(monkeypatch: pytest.MonkeyPatch, seen: Callable[[int], None]) -> None:
    """Call ``seen`` with the step after each chunk of training."""
    monkeypatch.setattr(train_command, "progress", lambda total, quiet: Watched(seen))
