"""Cost as a model grows: tokens/s and MFU of training steps over depth, context, batch and threads, one at a time.

    python scripts/scaling.py
    python scripts/scaling.py --dtypes float32 --steps 3 --out results/scaling

Each point is a process of its own, `bench train`; the point that all lines share is 4 layers, T 512, 8 rows, V 4096,
all CPUs. Writes summary.json, README.md and scaling.png to --out.
"""

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import msgspec

from nanochat_np.backend.device import Device
from nanochat_np.backend.environment import available_cpus
from nanochat_np.experiments.table import markdown_table
from nanochat_np.train.env_record import env_record

_LAYERS, _LENGTH, _ROWS = 4, 512, 8
_DTYPES = "float32", "bfloat16"


class Point(msgspec.Struct, frozen=True, kw_only=True):
    """Medians of a run of ``bench train``; ``mfu`` is a share of the largest products' speed in the same precision."""

    line: str
    value: int
    dtype: str
    tokens_per_sec: float
    mfu: float
    step_ms: float
    peak_rss_mib: float


def lines() -> dict[str, dict[int, dict[str, int]]]:
    """For each line its points: what differs from the point that they share."""
    return {
        "layers": {depth: {"n_layer": depth, "n_embd": 64 * depth} for depth in (2, 4, 6, 8, 12)},
        "context": {
            length: {"max_seq_len": length, "batch_size": 4096 // length} for length in (256, 512, 1024, 2048, 4096)
        },
        "rows": {rows: {"batch_size": rows} for rows in (1, 2, 4, 8, 16)},
        "threads": {threads: {"threads": threads} for threads in range(1, available_cpus() + 1)},
    }


def main(words: list[str]) -> int:
    usage = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    usage.add_argument("--dtypes", default=",".join(_DTYPES), help="precisions (default: %(default)s)")
    usage.add_argument("--steps", type=int, default=5, help="timed steps of each point (default: %(default)s)")
    usage.add_argument("--out", type=Path, default=Path("results/scaling"))
    args = usage.parse_args(words)
    points = []
    for line, places in lines().items():
        for value, changes in places.items():
            for dtype in args.dtypes.split(","):
                points.append(measured(line, value, changes, dtype, args.steps))
                print(f"{line} {value} {dtype}: {points[-1].tokens_per_sec:,.0f} tokens/s", file=sys.stderr, flush=True)
    args.out.mkdir(parents=True, exist_ok=True)
    content = {"points": msgspec.to_builtins(points), "environment": env_record(Device())}
    (args.out / "summary.json").write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
    (args.out / "README.md").write_text(readme(points, content["environment"]), encoding="utf-8")
    plot(points, args.out / "scaling.png")
    print(readme(points, content["environment"]))
    return 0


def measured(line: str, value: int, changes: dict[str, int], dtype: str, steps: int) -> Point:
    """One point.  Raises CalledProcessError where the run fails."""
    flags: dict[str, Any] = {"n_layer": _LAYERS, "n_embd": 64 * _LAYERS, "max_seq_len": _LENGTH, "batch_size": _ROWS}
    flags |= changes | {"dtype": dtype, "steps": steps}
    flags["n_head"] = max(1, flags["n_embd"] // 128)
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "nanochat_np", "bench", "train", "--json", "--quiet", f"--out={folder}/bench"]
        command += [f"--{name.replace('_', '-')}={setting}" for name, setting in flags.items()]
        found = json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
    return Point(
        line=line,
        value=value,
        dtype=dtype,
        tokens_per_sec=found["tokens_per_sec"],
        mfu=found["mfu"],
        step_ms=sum(found["ms"].values()),
        peak_rss_mib=found["peak_rss_mib"],
    )


def readme(points: list[Point], environment: dict[str, Any]) -> str:
    """A table of all points."""
    rows = [
        (
            p.line,
            f"{p.value}",
            p.dtype,
            f"{p.tokens_per_sec:,.0f}",
            f"{p.mfu:.0%}",
            f"{p.step_ms:,.0f}",
            f"{p.peak_rss_mib:,.0f}",
        )
        for p in points
    ]
    head = ("line", "value", "precision", "tokens/s", "MFU", "a step, ms", "peak memory, MiB")
    return (
        "# Cost as a model grows\n\n`python scripts/scaling.py`\n\n"
        f"{environment['cpu']}. Training steps on random tokens; what a line does not change is {_LAYERS} layers "
        f"(64 wide for each), T {_LENGTH}, {_ROWS} rows, V 4096 and all CPUs, along *context* 4096 tokens a step. MFU "
        "is the share of what the largest products do in the same precision.\n\n"
        f"![tokens/s and MFU](scaling.png)\n\n{markdown_table(head, rows)}\n"
    )


def plot(points: list[Point], path: Path) -> None:
    """Tokens/s above, MFU below, a column a line; nothing where there is no Matplotlib."""
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ImportError:
        return
    names = list(dict.fromkeys(point.line for point in points))
    figure = Figure(figsize=(3 * len(names), 5), dpi=150, layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots(2, len(names), squeeze=False, sharex="col")
    colours = dict(zip(_DTYPES, ("#0072B2", "#D55E00"), strict=True))  # told apart with any colour vision
    for column, name in enumerate(names):
        for dtype in dict.fromkeys(point.dtype for point in points):
            own = [point for point in points if (point.line, point.dtype) == (name, dtype)]
            x = [point.value for point in own]
            style = {"marker": "o", "markersize": 4, "color": colours[dtype], "label": dtype}
            axes[0, column].plot(x, [point.tokens_per_sec for point in own], **style)
            axes[1, column].plot(x, [100 * point.mfu for point in own], **style)
        axes[0, column].set_xscale("log", base=2)
        axes[0, column].set_yscale("log")
        axes[1, column].set_xlabel(name)
        axes[1, column].set_ylim(0, 100)
    axes[0, 0].set_ylabel("tokens/s")
    axes[1, 0].set_ylabel("MFU, %")
    axes[0, 0].legend(frameon=False)
    figure.savefig(path)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
