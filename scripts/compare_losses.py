"""Train karpathy/nanochat and this package from the same weights on the same batches, and compare every loss.

    python scripts/compare_losses.py --upstream-dir ~/nanochat --upstream-python ~/venv/bin/python --configs a

Upstream's own training script draws the weights and packs the batches, eager and in float32 on the CPU; a driver
records them. Then we train on the same, with our schedule and optimizer. Two trainings that differ by a rounding come
apart sooner or later, sooner at higher rates: --control tells how far upstream comes from itself, from weights nudged
by 1e-7, and with --warmup-steps 200 the rates of 50 steps stay low. Results: results/compare_losses/TIME/ with
summary.json and README.md. Exit codes: 0 the losses agree, 1 usage, 2 data, 3 they do not or a run failed.
"""

import argparse
import shlex
import sys
import time
from pathlib import Path
from typing import Any

import msgspec
from karpathy import arguments, child, prepare, upstream
from karpathy.arguments import chosen, new_folder, parser, reported
from karpathy.report import now
from karpathy.same_weights import Differences, Recording, compare, read_recording
from karpathy.work import SHAPES, Shape, Task

from nanochat_np.backend.files import replace_file
from nanochat_np.errors import RunError
from nanochat_np.experiments.table import markdown_table

LIMIT, NUDGE = 1e-3, 1e-7


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """``agree``: whether all batches are the same and no loss differs by more than ``limit``, relatively."""

    schema: int = 1
    time_utc: str
    invocation: str
    upstream_commit: str
    upstream_python: dict[str, Any]
    environment: dict[str, Any]
    steps: int
    warmup_steps: int
    text: str
    limit: float = LIMIT
    agree: bool
    differences: dict[str, Differences]


def main(words: list[str]) -> int:
    usage = parser(__doc__, steps=50)
    usage.add_argument("--control", action="store_true", help="run upstream once more, from weights that are nudged")
    return reported(compared, usage.parse_args(words))


def compared(args: argparse.Namespace) -> int:
    """Record, train, compare and write."""
    shapes = [SHAPES[name] for name in chosen("--configs", args.configs, SHAPES)]
    out = new_folder(args.out or Path("results/compare_losses") / time.strftime("%Y%m%d-%H%M%S"))
    work = args.work.resolve()
    task = Task(
        steps=args.steps, warmup_steps=args.warmup_steps, eval_tokens=0, device="cpu", threads=args.threads, work=work
    )
    sides = arguments.upstream(args, task)
    prepare.data(args.text, shapes, task)
    prepare.base_dirs(shapes, task, sides)
    found = {shape.name: difference(shape, task, sides, args, out) for shape in shapes}
    result = Report(
        time_utc=now(),
        invocation=shlex.join(["python", "scripts/compare_losses.py", *sys.argv[1:]]),
        upstream_commit=sides.commit,
        upstream_python=sides.versions,
        environment=prepare.environment(),
        steps=task.steps,
        warmup_steps=args.warmup_steps,
        text=args.text,
        agree=all(each.same_batches and each.largest <= LIMIT for each in found.values()),
        differences=found,
    )
    replace_file(out / "summary.json", msgspec.json.format(msgspec.json.encode(result)) + b"\n")
    replace_file(out / "README.md", readme(result, shapes).encode())
    print(readme(result, shapes))
    print(f"files  {out}")
    return 0 if result.agree else 3


def difference(shape: Shape, task: Task, sides: prepare.Upstream, args: argparse.Namespace, out: Path) -> Differences:
    """Both sides on one model.  Raises RunError with the end of upstream's stderr where it fails."""

    def record(name: str, nudge: float) -> Recording:
        folder = task.work / "recordings" / name
        folder.mkdir(parents=True, exist_ok=True)
        where = sides.python, sides.checkout
        command = upstream.recorded(shape, task, *where, folder, nudge)
        print(f"{name}: upstream trains for {task.steps} steps", file=sys.stderr, flush=True)
        ended = child.run_child(command, out / "logs" / name, args.upstream_timeout, lambda: False)
        if ended.status != "ok":
            raise RunError(f"upstream: {ended.status}: {ended.message}")
        return read_recording(folder)

    recorded = record(shape.name, 0.0)
    nudged = record(f"{shape.name}_nudged", NUDGE) if args.control else None
    print(f"{shape.name}: so do we", file=sys.stderr, flush=True)
    return compare(recorded, task.shards, task.tokenizer(shape), args.warmup_steps, nudged)


def readme(report: Report, shapes: list[Shape]) -> str:
    """For people."""
    head = (
        "model",
        "batches",
        "difference at the first step",
        "largest",
        "at step",
        "control",
        "last loss, ours",
        "upstream",
    )
    rows = []
    for shape in shapes:
        found = report.differences[shape.name]
        ends = (f"{losses[-1]:.5f}" for losses in (found.ours, found.upstream))
        batches = "the same" if found.same_batches else "differ"
        control = "not run" if found.control is None else f"{found.control:.1e}"
        figures = (f"{found.first:.1e}", f"{found.largest:.1e}", str(found.step_of_largest), control)
        rows.append((shape.describe(), batches, *figures, *ends))
    return (
        f"# The same weights and batches, here and in karpathy/nanochat\n\n`{report.invocation}`\n\n"
        f"{report.time_utc}. Upstream at commit {report.upstream_commit[:12]}, eager, float32, PyTorch "
        f"{report.upstream_python.get('torch')}; {report.steps} steps on {report.text}, warmup {report.warmup_steps}. "
        f"Differences of the losses are relative to upstream's; {'all are' if report.agree else 'NOT all are'} within "
        f"{report.limit:g}. The control is how far upstream comes from itself, from weights nudged by {NUDGE:g}.\n\n"
        f"{markdown_table(head, rows)}\n"
    )


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
