"""Our side: the ``pretrain`` and ``bench train`` commands as a user runs them."""

import json
import sys
from pathlib import Path

from karpathy.work import Command, Figures, Run, Task, of_steps, step_flags, training_flags

ROOT = Path(__file__).resolve().parents[2]


def program(*arguments: object) -> list[str]:
    """``python -m nanochat_np`` of this interpreter."""
    return [sys.executable, "-m", "nanochat_np", *map(str, arguments)]


def pretrain(run: Run, task: Task, out: Path) -> Command:
    """The training run, into the folder ``out``."""
    flags = training_flags(run.shape, task) | {
        "data": task.shards,
        "tokenizer": task.tokenizer(run.shape),
        "sample-tokens": 0,
        "save-every": -1,
        "seed": run.seed,
        "device": task.device,
        "dtype": run.dtype,
        "out": out,
    }
    return _command("pretrain", flags, task)


def speed(run: Run, task: Task, out: Path) -> Command:
    """Steps on random tokens."""
    flags = step_flags(run.shape, task) | {"device": task.device, "dtype": run.dtype, "out": out}
    return _command("bench train", flags, task)


def _command(name: str, flags: dict[str, object], task: Task) -> Command:
    threads = {} if task.threads is None else {"threads": task.threads}
    given = (f"--{flag}={value}" for flag, value in (flags | threads).items())
    return Command([*program(*name.split()), *given, "--json", "--quiet"], {}, ROOT)


def unavailable(run: Run, task: Task) -> str:
    """Why this run cannot be made yet, or nothing."""
    is_there = run.dtype == "float32" or task.device == "cpu"
    return "" if is_there else f"training in {run.dtype} on a GPU is not available yet"


def has_begun(out: Path) -> bool:
    """Whether a training step is in the metrics."""
    return any(event["event"] == "step" for event in _events(out))


def trained(out: Path) -> Figures:
    """What a run folder says.  Raises ValueError for one without steps."""
    events = _events(out)
    steps = [event for event in events if event["event"] == "step"]
    evals = [event["val_bpb"] for event in events if event["event"] == "eval"]
    if not steps:
        raise ValueError(f"{out / 'metrics.jsonl'} has no steps")
    return of_steps(
        [event["tokens_per_sec"] for event in steps],
        [event["loss"] for event in steps],
        evals[-1] if evals else None,
    )


def _events(out: Path) -> list[dict]:
    """Whole lines of the metrics so far."""
    try:
        text = (out / "metrics.jsonl").read_text(encoding="utf-8")
    except FileNotFoundError:
        return []
    return [json.loads(line) for line in text.splitlines(keepends=True) if line.endswith("\n")]
