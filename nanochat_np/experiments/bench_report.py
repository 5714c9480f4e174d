"""The figures of ``bench lab`` for people, on a terminal and in Markdown."""

from collections.abc import Iterator

from nanochat_np.experiments.bench_lab import PEER, KernelFigure, LabFigures, TrainingFigure
from nanochat_np.experiments.table import Cells, markdown_table, text_table

_MIB = 2**20


def report(figures: LabFigures) -> str:
    """What ``bench lab`` prints."""
    return "\n\n".join(text_table(head, rows) for head, rows in _tables(figures)) + _remarks(figures)


def readme(figures: LabFigures, invocation: str, repeats: int, device: str) -> str:
    """The README of the result folder."""
    parts = [
        f"# Speed of the character lab on {device}",
        f"`{invocation}`",
        f"Medians of {repeats}, all cases taken in turn. A step is all of a training step, its update too, and nothing "
        "else. The environment is in env.json, all figures are in summary.json.",
        *(markdown_table(head, rows) for head, rows in _tables(figures)),
    ]
    return "\n\n".join(parts) + _remarks(figures) + "\n"


def _tables(figures: LabFigures) -> Iterator[tuple[Cells, list[Cells]]]:
    """Head and rows of each."""
    head: Cells = ("training", "a step", "steps/s", "tokens/s", "ns/node", "first call", "Rust peer", "Rust/ours")
    yield head, [_training_cells(each) for each in figures.training]
    if figures.kernels:
        shapes = dict.fromkeys(each.shapes for each in figures.kernels)
        head = ("kernels", *(part for each in shapes for part in (f"{each}: reference", "kernel", "ratio")))
        names = dict.fromkeys(each.name for each in figures.kernels)
        of = {(each.name, each.shapes): each for each in figures.kernels}
        yield head, [(name, *(cell for s in shapes for cell in _kernel_cells(of.get((name, s))))) for name in names]
    if figures.start_up:
        yield ("starting", "a process"), [(name, duration(value)) for name, value in figures.start_up.items()]
    yield (
        ("memory of a process that trains", "warm", "later", "steps between"),
        [
            (each.name, *map(_mebibytes, (each.start_bytes, each.end_bytes)), f"{each.steps:,}")
            for each in figures.memory
        ],
    )


def _remarks(figures: LabFigures) -> str:
    lines = [f"Rust peer: {PEER.removeprefix('Rust peer, ')}; the ratio is to its best."]
    if figures.python_over_tape:
        lines.append(f"Python objects take {figures.python_over_tape:,.0f} times as long as the tape for the bigram.")
    if not all(each.used for each in figures.kernels):
        lines.append("Kernels that are not used: for arrays of that size the reference runs.")
    return "\n\n" + "\n".join(lines)


def _training_cells(f: TrainingFigure) -> Cells:
    first = "" if f.first_call_seconds is None else f"{f.first_call_seconds:.2f} s{' (compiled)' * f.compiled}"
    return (
        f.name,
        duration(f.seconds_per_step),
        f"{f.steps_per_sec:,.0f}",
        f"{f.tokens_per_sec:,.0f}",
        "" if f.ns_per_node is None else f"{f.ns_per_node:.2f}",
        first,
        "" if f.peer_seconds is None else " to ".join(dict.fromkeys(map(duration, f.peer_seconds))),
        "" if f.times_faster is None else f"{f.times_faster:.1f}",
    )


def _kernel_cells(f: KernelFigure | None) -> Cells:
    """An operation at one of the shapes, if it is of a model that has them."""
    if f is None:
        return "", "", ""
    kernel = duration(f.kernel_seconds) + ("" if f.used else " (not used)")
    return duration(f.reference_seconds), kernel, f"{f.times_faster:.1f}"


def _mebibytes(count: int) -> str:
    return f"{count / _MIB:.1f} MiB"


def duration(seconds: float) -> str:
    """Three digits and a unit: 1.16 µs, 150 µs, 13.0 ms."""
    units = {"s": 1.0, "ms": 1e-3, "µs": 1e-6, "ns": 1e-9}
    unit = next((unit for unit, size in units.items() if seconds >= size), "ns")
    return f"{seconds / units[unit]:#.3g}".rstrip(".") + f" {unit}"
