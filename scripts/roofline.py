"""Every kernel of a training step on the roofline of this machine: what it does beside what the CPU can do.

    python scripts/roofline.py
    python scripts/roofline.py --n-layer 6 --n-head 3 --n-embd 384 --batch-size 4 --vocab-size 32768 --dtype bfloat16

Each call of a kernel in whole steps is timed. Its bytes are those of its operands and results, each once, or twice
where it is changed; its operations those of the formula (products, attention), or a count for each number of the
result. The roof is measured: tiles with operands in the first-level cache, and a copy of memory by all threads; a
kernel above the slope found its operands in a cache. Writes summary.json, README.md and roofline.png to --out.
"""

import argparse
import shlex
import statistics
import sys
from collections import defaultdict
from collections.abc import Callable, Iterator
from pathlib import Path
from time import perf_counter
from typing import Any

import msgspec
import numpy as np

from nanochat_np import kernels
from nanochat_np.backend.device import Device
from nanochat_np.backend.products import products_in
from nanochat_np.config import BenchConfig
from nanochat_np.experiments.bench_model import initial_weights, model_config
from nanochat_np.experiments.bench_steps import WARM_UP, step_times
from nanochat_np.experiments.table import markdown_table
from nanochat_np.kernels import ceiling
from nanochat_np.train.env_record import env_record

# Operations for each number of the result, roughly: an exponential counts as 10.
_PER_NUMBER = {"capped_cross_entropy": 40, "adamw_update": 12, "adamw_rows_update": 12, "rotary_norm": 8}
_USUAL = 4
_NAMED = 0.01  # share of a step from which the plot has room for the name
_CHANGED = {  # operands that are read and written, by place
    "add_to": (0,),
    "adamw_update": (0, 2, 3),
    "adamw_rows_update": (0, 2, 3),
    "nesterov": (1,),
    "cautious_descent": (0,),
    "capped_cross_entropy": (0,),
}
# Their arrays of two axes are tables, of which only the tokens' rows are read, or changed.
_OF_TABLES = {"embedding_norm": 1, "gated_embedding": 1, "gated_embedding_backward": 3, "add_embedding_backward": 2}


class Figure(msgspec.Struct, frozen=True, kw_only=True):
    """A kernel in a step: medians over the steps of its calls together."""

    kernel: str
    calls: int
    milliseconds: float
    megabytes: float
    gflop: float

    @property
    def gb_per_s(self) -> float:
        return self.megabytes / self.milliseconds

    @property
    def gflops(self) -> float:
        return 1e3 * self.gflop / self.milliseconds

    @property
    def intensity(self) -> float:
        """Operations a byte."""
        return 1e3 * self.gflop / self.megabytes


class Summary(msgspec.Struct, frozen=True, kw_only=True):
    invocation: str
    dtype: str
    step_milliseconds: float
    ceilings: dict[str, float]
    kernels: list[Figure]
    environment: dict[str, Any]


def main(words: list[str]) -> int:
    usage = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name, default in (("n-layer", 4), ("n-head", 2), ("n-embd", 256), ("max-seq-len", 512), ("batch-size", 8)):
        usage.add_argument(f"--{name}", type=int, default=default)
    usage.add_argument("--vocab-size", type=int, default=4096)
    usage.add_argument("--dtype", choices=("float32", "bfloat16"), default="float32")
    usage.add_argument("--steps", type=int, default=7)
    usage.add_argument("--out", type=Path, default=Path("results/roofline"))
    args = usage.parse_args(words)
    out = args.__dict__.pop("out")
    if not kernels.in_use():
        print("roofline: the kernels need Numba: pip install numba", file=sys.stderr)
        return 1
    summary = measure(BenchConfig(action="train", **vars(args)))
    out.mkdir(parents=True, exist_ok=True)
    (out / "summary.json").write_bytes(msgspec.json.format(msgspec.json.encode(summary)) + b"\n")
    (out / "README.md").write_text(readme(summary), encoding="utf-8")
    plot(summary, out / "roofline.png")
    print(readme(summary))
    return 0


def measure(config: BenchConfig) -> Summary:
    """Time every call of a kernel in the steps of a training."""
    device, model = Device(), model_config(config)
    ceilings = {f"{dtype}_gflops": ceiling.in_cache_gflops(dtype) for dtype in ("float32", "bfloat16")}
    ceilings["copy_gb_per_s"] = ceiling.copy_gigabytes()
    with products_in(config.dtype):
        weights = initial_weights(model, config.dtype, device)
        with timed_kernels() as calls:
            steps, whole = [], []
            for each in step_times(weights, model, config.batch_size, config.steps, device, False):
                steps.append({name: tuple(map(sum, zip(*rows, strict=True))) for name, rows in calls.items()})
                counts = {name: len(rows) for name, rows in calls.items()}
                whole.append(each.whole)
                calls.clear()
    found = []
    for name, count in counts.items():
        seconds, size, operations = (statistics.median(step[name][i] for step in steps[WARM_UP:]) for i in range(3))
        found.append(
            Figure(kernel=name, calls=count, milliseconds=1e3 * seconds, megabytes=size / 1e6, gflop=operations / 1e9)
        )
    return Summary(
        invocation=shlex.join(["python", "scripts/roofline.py", *sys.argv[1:]]),
        dtype=config.dtype,
        step_milliseconds=statistics.median(whole[WARM_UP:]),
        ceilings=ceilings,
        kernels=sorted(found, key=lambda figure: -figure.milliseconds),
        environment=env_record(device),
    )


class timed_kernels:
    """Within this context each call of a kernel adds (seconds, bytes, operations) to what its name has."""

    def __enter__(self) -> dict[str, list[tuple[float, float, float]]]:
        self._kernel, calls = kernels.kernel, defaultdict(list)

        def timed(name: str) -> Callable[..., Any] | None:
            fused = self._kernel(name)

            def run(*args: Any, **named: Any) -> Any:
                begin = perf_counter()
                result = fused(*args, **named)
                seconds = perf_counter() - begin
                calls[name].append((seconds, traffic(name, args, result), operations(name, args, result)))
                return result

            return run if fused else None

        kernels.kernel = timed  # type: ignore[assignment]
        return calls

    def __exit__(self, *error: object) -> None:
        kernels.kernel = self._kernel


def traffic(name: str, args: tuple[Any, ...], result: Any) -> float:
    """Bytes that must be read and written."""
    changed = [args[place] for place in _CHANGED.get(name, ())]
    if name == "matrix_product":
        changed += [args[2]] if len(args) > 3 and args[3] else []  # the product is added to it
        args = args[:3]  # the panels stand for y
    found = list(arrays((args, result)))
    if name in _OF_TABLES:
        table = next(array for array in found if array.ndim == 2 and array.dtype.kind == "f")
        rows = next(array.size for array in found if array.dtype.kind == "i")
        found = [array for array in found if array.ndim != 2 or array.dtype.kind == "i"]
        changed += [table[:1]] * (_OF_TABLES[name] * rows)
    distinct = {array.__array_interface__["data"][0]: array.nbytes for array in found}
    return float(sum(array.nbytes for array in changed) + sum(distinct.values()))


def operations(name: str, args: tuple[Any, ...], result: Any) -> float:
    """Of multiplications and additions, each counts."""
    if name == "matrix_product":
        (rows, inner), columns = args[0].shape, args[1].shape[1]
        return 2.0 * rows * inner * columns
    if name == "blockwise_attention":
        return 4.0 * pairs(*args)
    if name == "blockwise_attention_backward":
        q, k, v, _, _, window = args[1]
        return 10.0 * pairs(q, k, v, window)
    if name == "polar_express":  # X Xᵀ and its square by half, and a product with X, in each step
        count, least, most = len(args[0]), min(args[0].shape[1:]), max(args[0].shape[1:])
        return float(len(args[1]) * count * (least * least * most + least**3 + 2 * least * least * most))
    sizes = [array.size for array in arrays((args, result)) if name not in _OF_TABLES or array.ndim != 2]
    largest = max(sizes, default=0)
    return float(_PER_NUMBER.get(name, _USUAL) * largest)


def pairs(q: np.ndarray, k: np.ndarray, v: np.ndarray, window: int | None = None) -> float:
    """Pairs of a query and a key that it sees, times the width of a head."""
    batch, heads, time, width = q.shape
    length = k.shape[2]
    seen = np.minimum(np.arange(length - time, length) + 1, length if window is None else window + 1)
    return float(batch * heads * width * seen.sum())


def arrays(values: Any) -> Iterator[np.ndarray]:
    """All arrays in nested tuples and lists."""
    if isinstance(values, np.ndarray):
        yield values
    elif isinstance(values, tuple | list):
        for value in values:
            yield from arrays(value)


def readme(summary: Summary) -> str:
    """The table, and how to read it."""
    copy, peak = summary.ceilings["copy_gb_per_s"], summary.ceilings[f"{summary.dtype}_gflops"]
    rows = [
        (
            each.kernel,
            f"{each.calls}",
            f"{each.milliseconds:.2f}",
            f"{each.intensity:.1f}",
            f"{each.gb_per_s:.1f}",
            f"{each.gb_per_s / copy:.0%}",
            f"{each.gflops:.0f}",
            f"{each.gflops / peak:.0%}",
        )
        for each in summary.kernels
    ]
    inside = sum(each.milliseconds for each in summary.kernels)
    head = ("kernel", "calls", "ms a step", "operations a byte", "GB/s", "of a copy", "GFLOP/s", "of a tile")
    return (
        f"# The kernels of a training step, {summary.dtype}\n\n`{summary.invocation}`\n\n"
        f"{summary.environment['cpu']}. Measured as the most: a copy of memory {copy:.1f} GB/s, tiles with operands in "
        f"the first-level cache {peak:.0f} GFLOP/s. A step takes {summary.step_milliseconds:.1f} ms, "
        f"{inside / summary.step_milliseconds:.0%} of it in kernels. More than 100 % of a copy is a kernel that found "
        f"operands in a cache.\n\n![roofline](roofline.png)\n\n{markdown_table(head, rows)}\n"
    )


def plot(summary: Summary, path: Path) -> None:
    """Operations a second over operations a byte, with the roof; nothing where there is no Matplotlib."""
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure as Canvas
    except ImportError:
        return
    figure = Canvas(figsize=(8, 5), dpi=150, layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots()
    x = np.geomspace(0.05, 2000, 200)
    copy, peak = summary.ceilings["copy_gb_per_s"], summary.ceilings[f"{summary.dtype}_gflops"]
    axes.loglog(x, np.minimum(copy * x, peak), color="black", linewidth=1)
    for each in summary.kernels:
        share = each.milliseconds / summary.step_milliseconds
        axes.scatter(each.intensity, each.gflops, s=20 + 400 * share, color="#0072B2", alpha=0.5)
        if share > _NAMED:
            place = each.intensity, each.gflops
            axes.annotate(each.kernel, place, fontsize=7, xytext=(5, 3), textcoords="offset points")
    axes.set_xlabel("operations a byte")
    axes.set_ylabel("GFLOP/s")
    axes.set_title(
        f"{summary.dtype}: {copy:.0f} GB/s, {peak:.0f} GFLOP/s; areas are shares of a step, names those from 1 % on"
    )
    figure.savefig(path)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
