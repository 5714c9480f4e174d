"""What both sides are asked to do: the model, the data, the length; and a run of one side with what came of it."""

import json
import statistics
from pathlib import Path
from typing import Literal

import msgspec

Side = Literal["ours", "upstream"]
Status = Literal["ok", "failed", "timeout", "not available yet"]
HEAD_DIM = 128
EAGER, COMPILED, TUNED, OURS = "eager", "compile", "tuned", "default"
MODES = (EAGER, COMPILED, TUNED)  # of upstream
_UNCOUNTED = 5  # first steps: compilation, caches, pools


class Shape(msgspec.Struct, frozen=True):
    """Upstream's model of a depth: 64 wide for each layer, heads of 128, and a batch that is one forward pass."""

    name: str
    depth: int
    sequence: int
    batch: int
    vocab: int

    @property
    def width(self) -> int:
        return -(-64 * self.depth // HEAD_DIM) * HEAD_DIM

    @property
    def heads(self) -> int:
        return self.width // HEAD_DIM

    @property
    def tokens(self) -> int:
        """Of a step."""
        return self.batch * self.sequence

    def describe(self) -> str:
        return (
            f"({self.name}) {self.depth} layers, {self.width} wide, {self.heads} heads of {HEAD_DIM}, "
            f"T {self.sequence}, B {self.batch}, V {self.vocab}"
        )


SHAPES = {"a": Shape("a", 4, 512, 8, 4096), "b": Shape("b", 6, 512, 4, 32768)}


class Task(msgspec.Struct, frozen=True, kw_only=True):
    """The same for every run.  ``work`` is the folder of what is prepared once."""

    steps: int
    warmup_steps: int
    eval_tokens: int
    device: str
    threads: int | None
    work: Path

    @property
    def shards(self) -> Path:
        return self.work / "shards"

    def tokenizer(self, shape: Shape) -> Path:
        return self.work / f"tokenizer_{shape.vocab}"

    def base_dir(self, shape: Shape) -> Path:
        """Upstream's NANOCHAT_BASE_DIR, one a vocabulary."""
        return self.work / f"upstream_{shape.vocab}"


def training_flags(shape: Shape, task: Task) -> dict[str, object]:
    """What both training commands call by the same names."""
    return {
        "depth": shape.depth,
        "head-dim": HEAD_DIM,
        "max-seq-len": shape.sequence,
        "device-batch-size": shape.batch,
        "total-batch-size": shape.tokens,
        "num-iterations": task.steps,
        "warmup-steps": task.warmup_steps,
        "eval-every": task.steps,
        "eval-tokens": task.eval_tokens,
    }


def step_flags(shape: Shape, task: Task) -> dict[str, object]:
    """The same of both commands for steps on random tokens."""
    return {
        "n-layer": shape.depth,
        "n-head": shape.heads,
        "n-embd": shape.width,
        "max-seq-len": shape.sequence,
        "batch-size": shape.batch,
        "vocab-size": shape.vocab,
        "steps": task.steps,
    }


class Run(msgspec.Struct, frozen=True, kw_only=True):
    """One side in one way; ``mode`` is eager, compile or tuned for upstream."""

    side: Side
    mode: str
    dtype: str
    shape: Shape
    seed: int
    repeat: int

    @property
    def label(self) -> str:
        return f"{self.shape.name}_{self.side}_{self.mode}_{self.dtype}_seed{self.seed}_{self.repeat}"

    @property
    def way(self) -> tuple[str, str, str, str]:
        """What repeats and seeds are repeats of."""
        return self.shape.name, self.side, self.mode, self.dtype


class Command(msgspec.Struct, frozen=True):
    """A child process; ``variables`` are added to its environment."""

    arguments: list[str]
    variables: dict[str, str]
    folder: Path


class Figures(msgspec.Struct, frozen=True, kw_only=True):
    """What a run measured itself: a median over steps after warm-up, and all steps.  Losses in nats a token."""

    tokens_per_sec: float
    fwd_bwd_tokens_per_sec: float | None = None
    optimizer_ms: float | None = None
    step_tokens_per_sec: list[float] = []
    losses: list[float] = []
    val_bpb: float | None = None


class Record(msgspec.Struct, frozen=True, kw_only=True):
    """A run and what came of it.

    ``first_step_seconds`` go from the start of the process to the end of its first training step, with compilation and
    the first validation; memory is the most that was resident of the process, and of it with its children.
    """

    run: Run
    status: Status
    message: str = ""
    command: str = ""
    seconds: float | None = None
    first_step_seconds: float | None = None
    process_mib: float | None = None
    tree_mib: float | None = None
    figures: Figures | None = None


def of_steps(rates: list[float], losses: list[float], val_bpb: float | None) -> Figures:
    """Of the tokens a second and the losses of all steps; the median leaves out the first steps, of few the half."""
    counted = rates[min(_UNCOUNTED, len(rates) // 2) :]
    return Figures(tokens_per_sec=statistics.median(counted), step_tokens_per_sec=rates, losses=losses, val_bpb=val_bpb)


def benched(output: Path) -> Figures:
    """What ``bench train --json`` and the driver of upstream print.  Raises ValueError for anything else."""
    try:
        printed = json.loads(output.read_text(encoding="utf-8").splitlines()[-1])
        return Figures(
            tokens_per_sec=printed["tokens_per_sec"],
            fwd_bwd_tokens_per_sec=printed["fwd_bwd_tokens_per_sec"],
            optimizer_ms=printed["ms"]["optimizer"],
        )
    except (IndexError, KeyError, TypeError) as error:
        raise ValueError(f"{output}: no figures in it ({error!r})") from None
