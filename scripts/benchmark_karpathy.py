"""Compare this package with karpathy/nanochat: the same data, token ids, model, batch and schedule, taken in turn.

    python scripts/benchmark_karpathy.py --no-require-gpu --upstream-dir ~/nanochat --upstream-python ~/venv/bin/python
    python scripts/benchmark_karpathy.py --no-require-gpu --make-venv --configs a --steps 60 --repeats 3
    python scripts/benchmark_karpathy.py --no-require-gpu --speed-only --configs a,b --steps 10
    python scripts/benchmark_karpathy.py --no-require-gpu --dry-run

Upstream trains with its own scripts/base_train.py, we with `pretrain`. Without --upstream-dir upstream is cloned at the
pinned commit. Results: results/benchmark_karpathy/TIME/ with summary.json, README.md, comparison.png and the output of
every run. Exit codes: 0 all runs ended well, 1 usage, 2 data, 3 some run of either side has no result.
"""

import argparse
import itertools
import shlex
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import NamedTuple

from karpathy import arguments, child, ours, prepare, report, upstream
from karpathy.arguments import chosen, new_folder, parser, positive, reported
from karpathy.verdict import compare
from karpathy.work import MODES, OURS, SHAPES, Command, Figures, Record, Run, Shape, Side, Task, benched

from nanochat_np.errors import ConfigError

DTYPES = "float32", "bfloat16"


class Job(NamedTuple):
    """A run as a child process: its command, whether a step of it is done, and its figures once it has ended.

    ``checkpoints`` is the folder of those that it leaves, which nobody needs.
    """

    command: Command
    begun: Callable[[], bool]
    figures: Callable[[], Figures]
    checkpoints: Path


def main(words: list[str]) -> int:
    return reported(benchmark, flags().parse_args(words))


def flags() -> argparse.ArgumentParser:
    usage = parser(__doc__, steps=100)
    add = usage.add_argument
    add("--device", default="auto", help="auto, cpu or cuda (default: cuda where nvidia-smi lists a GPU)")
    add("--require-gpu", action=argparse.BooleanOptionalAction, default=True, help="fail where there is no GPU")
    add("--dtypes", default=",".join(DTYPES), help="precisions (default: %(default)s)")
    add("--upstream-modes", default=",".join(MODES), help="eager, compile, tuned: compiled, memory kept (default: all)")
    add("--repeats", type=positive, default=3, help="runs of each way, A B C A B C (default: %(default)s)")
    add("--seeds", default=str(upstream.SEED), help="of initial values, on both sides (default: %(default)s)")
    add("--eval-tokens", type=positive, default=65_536, help="tokens to validate on (default: %(default)s)")
    add("--speed-only", action="store_true", help="steps on random tokens instead of training")
    add("--ours-timeout", type=float, default=3600, help="seconds for a run of ours (default: %(default)s)")
    add("--dry-run", action="store_true", help="print every command, and begin nothing")
    return usage


def benchmark(args: argparse.Namespace) -> int:
    """Prepare, run everything in turn, and write the report after every round, so that nothing measured is lost."""
    shapes = [SHAPES[name] for name in chosen("--configs", args.configs, SHAPES)]
    task = Task(
        steps=args.steps,
        warmup_steps=args.warmup_steps,
        eval_tokens=args.eval_tokens,
        device=device(args.device, args.require_gpu),
        threads=args.threads,
        work=args.work.resolve(),
    )
    out = new_folder(args.out or Path("results/benchmark_karpathy") / time.strftime("%Y%m%d-%H%M%S"))
    plan = list(runs(args, shapes))
    if args.dry_run:
        dry_run(args, shapes, task, plan, out)
        return 0
    sides = arguments.upstream(args, task)
    if not args.speed_only:
        prepare.data(args.text, shapes, task)
        prepare.base_dirs(shapes, task, sides)
    records: list[Record] = []
    environment = prepare.environment()
    for number, run in enumerate(plan, start=1):
        record = executed(run, job(run, task, sides.python, sides.checkout, out, args.speed_only), task, args, out)
        records.append(record)
        print(f"{number}/{len(plan)} {run.label}: {told(record)}", file=sys.stderr, flush=True)
        result = report.Report(
            what="speed" if args.speed_only else "training",
            time_utc=report.now(),
            invocation=shlex.join(["python", "scripts/benchmark_karpathy.py", *sys.argv[1:]]),
            upstream_commit=sides.commit,
            upstream_python=sides.versions,
            environment=environment,
            task=task,
            shapes=shapes,
            text=args.text,
            comparisons=compare(records),
            runs=records,
        )
        report.write(result, out)
    print((out / "README.md").read_text(encoding="utf-8"))
    print(f"files  {out}")
    return 0 if all(record.status in ("ok", "not available yet") for record in records) else 3


def device(flag: str, required: bool) -> str:
    """``cpu`` or ``cuda``.  Raises ConfigError where a GPU is required and there is none."""
    if flag not in ("auto", "cpu", "cuda"):
        raise ConfigError(f"--device {flag}: takes auto, cpu or cuda")
    if flag == "cpu":
        return flag
    try:
        listed = subprocess.run(["nvidia-smi", "-L"], capture_output=True, text=True, check=False).stdout
    except OSError:
        listed = ""
    if "GPU" in listed:
        return "cuda"
    if required or flag == "cuda":
        raise ConfigError("nvidia-smi lists no GPU: give --no-require-gpu to compare on the CPU")
    return "cpu"


def runs(args: argparse.Namespace, shapes: list[Shape]) -> Iterator[Run]:
    """Every way once, then every way again: what the machine does meanwhile is shared."""
    dtypes = chosen("--dtypes", args.dtypes, DTYPES)
    modes = chosen("--upstream-modes", args.upstream_modes, MODES)
    if not all(seed.isdecimal() for seed in args.seeds.split(",")):
        raise ConfigError(f"--seeds {args.seeds}: takes whole numbers, separated by commas")
    seeds = [int(seed) for seed in args.seeds.split(",")]
    for repeat, seed, shape, dtype in itertools.product(range(1, args.repeats + 1), seeds, shapes, dtypes):
        ways: list[tuple[Side, str]] = [("ours", OURS), *(("upstream", mode) for mode in modes)]
        for side, mode in ways:
            yield Run(side=side, mode=mode, dtype=dtype, shape=shape, seed=seed, repeat=repeat)


def job(run: Run, task: Task, python: Path, checkout: Path, out: Path, speed_only: bool) -> Job:
    """What a run is on its side."""
    log = out / "logs" / run.label
    printed, folder = log.with_name(f"{log.name}.out"), out / "runs" / run.label
    waste = {"ours": folder / "checkpoints", "upstream": task.base_dir(run.shape) / "base_checkpoints" / run.label}
    if run.side == "ours" and speed_only:
        command, begun, figures = ours.speed(run, task, folder), _never, partial(benched, printed)
    elif run.side == "ours":
        command = ours.pretrain(run, task, folder)
        begun, figures = partial(ours.has_begun, folder), partial(ours.trained, folder)
    elif speed_only:
        command, begun, figures = upstream.speed(run, task, python, checkout), _never, partial(benched, printed)
    else:
        command = upstream.pretrain(run, task, python, checkout)
        begun, figures = partial(upstream.has_begun, printed), partial(upstream.trained, printed)
    return Job(command, begun, figures, waste[run.side])


def _never() -> bool:
    return False


def executed(run: Run, job: Job, task: Task, args: argparse.Namespace, out: Path) -> Record:
    """Run it, if it can be; a run that ends without figures has failed."""
    command = child.shown(job.command)
    reason = ours.unavailable(run, task) if run.side == "ours" else ""
    if reason:
        return Record(run=run, status="not available yet", message=reason)
    timeout = args.ours_timeout if run.side == "ours" else args.upstream_timeout
    ended = child.run_child(job.command, out / "logs" / run.label, timeout, job.begun)
    shutil.rmtree(job.checkpoints, ignore_errors=True)
    status, message, figures = ended.status, ended.message, None
    if status == "ok":
        try:
            figures = job.figures()
        except (ValueError, OSError, KeyError) as error:
            status, message = "failed", f"ended well, but {error}"
    return Record(
        run=run,
        status=status,
        message=message,
        command=command,
        seconds=ended.seconds,
        first_step_seconds=ended.first_step_seconds,
        process_mib=ended.process_mib,
        tree_mib=ended.tree_mib,
        figures=figures,
    )


def told(record: Record) -> str:
    """A line about a run that has ended."""
    if record.figures is None:
        return f"{record.status}: {record.message.splitlines()[0]}"
    bpb = "" if record.figures.val_bpb is None else f", val bpb {record.figures.val_bpb:.4f}"
    return f"{record.figures.tokens_per_sec:,.0f} tokens/s{bpb}, {record.seconds:.0f} s"


def dry_run(args: argparse.Namespace, shapes: list[Shape], task: Task, plan: list[Run], out: Path) -> None:
    """Print what would be run; nothing is read or written."""
    checkout = args.upstream_dir or task.work / "nanochat"
    python = args.upstream_python or task.work / "venv" / "bin" / "python"
    if not args.speed_only:
        for arguments in prepare.data_commands(args.text, shapes, task):
            print(prepare.preview(arguments))
    for run in plan:
        reason = ours.unavailable(run, task) if run.side == "ours" else ""
        shown = child.shown(job(run, task, python, checkout, out, args.speed_only).command)
        print(f"# {run.label}: {reason}" if reason else f"# {run.label}\n{shown}")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
