"""Validation curves of an ablation, drawn with Matplotlib where that is installed."""

import importlib.util
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from nanochat_np.experiments.ablation import VARIANTS, Row, run_name
from nanochat_np.experiments.ablation_summary import Baseline

# Colours that people with any colour vision tell apart (Okabe & Ito 2008), each with a dash of its own for print.
_LINES = dict(zip(VARIANTS, (("#0072B2", "-"), ("#56B4E9", "--"), ("#D55E00", "-"), ("#E69F00", "--")), strict=True))
_BASELINE_LABELS = {"unigram": "unigram counts", "bigram": "bigram counts"}


def can_plot() -> bool:
    """Whether Matplotlib is installed."""
    return importlib.util.find_spec("matplotlib") is not None


def plot_curves(path: Path, runs: Path, rows: Sequence[Row], counting: dict[str, Baseline]) -> None:
    """Write ``path`` (PNG): bits per byte over steps, a panel a model kind, means over seeds above faint single runs.

    ``runs`` holds the folders of the runs.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg  # needs no display, and no global state of pyplot
    from matplotlib.figure import Figure

    kinds = list(dict.fromkeys(row.model_kind for row in rows))
    figure = Figure(figsize=(1 + 5 * len(kinds), 4.8), dpi=150, layout="constrained")
    FigureCanvasAgg(figure)
    panels = figure.subplots(1, len(kinds), squeeze=False)[0]
    for axes, kind in zip(panels, kinds, strict=True):
        curves = {
            variant: np.array([_curve(runs / run_name(kind, variant, row.seed)) for row in group])
            for variant in VARIANTS
            if (group := [row for row in rows if (row.model_kind, row.variant) == (kind, variant)])
        }
        for variant, values in curves.items():
            _draw(axes, variant, values)
        _draw_baselines(axes, np.concatenate(list(curves.values())), counting)
        n_seeds = max(map(len, curves.values()))
        axes.set_title(f"{kind}, mean of {n_seeds} seeds" if n_seeds > 1 else kind)
        axes.set_xlabel("optimizer steps")
        axes.spines[["top", "right"]].set_visible(False)
    panels[0].set_ylabel("validation, bits per byte")
    lines = {line.get_label(): line for axes in panels for line in axes.get_legend_handles_labels()[0]}
    figure.legend(lines.values(), lines.keys(), loc="outside lower center", ncols=2, frameon=False)
    figure.savefig(path)


def _curve(run: Path) -> list[tuple[float, float]]:
    """(step, bits per byte) of every evaluation of a run."""
    events = (msgspec.json.decode(line) for line in (run / "metrics.jsonl").read_bytes().splitlines())
    return [(event["step"], event["val_bpb"]) for event in events if event["event"] == "eval"]


def _draw(axes: Any, variant: str, curves: np.ndarray) -> None:
    """curves (seeds, evaluations, 2)."""
    color, dashes = _LINES[variant]
    steps = curves[0, :, 0]
    if len(curves) > 1:
        axes.plot(steps, curves[:, :, 1].T, color=color, linewidth=0.8, alpha=0.35)
    marker = "o" if len(steps) == 1 else ""
    label = variant.replace("_", " ")
    axes.plot(steps, curves[:, :, 1].mean(0), dashes, marker=marker, color=color, linewidth=1.8, label=label)


def _draw_baselines(axes: Any, curves: np.ndarray, counting: dict[str, Baseline]) -> None:
    """Bigram counts, and unigram counts where they are in view: the untrained models are not, they would take most of
    it.   curves (runs, evaluations, 2)."""
    values = curves[:, 1 if curves.shape[1] > 1 else 0 :, 1]
    bigram = counting["bigram"].val_bpb
    low, high = min(values.min(), bigram), max(values.max(), bigram)
    margin = 0.1 * (high - low)
    axes.set_ylim(low - margin, high + margin)
    for name, label in _BASELINE_LABELS.items():
        level = counting[name].val_bpb
        if low <= level <= high:
            axes.axhline(level, color="0.4", linewidth=1, linestyle=":", zorder=0)
            side = "bottom" if values[:, -1].mean() < level else "top"  # where the curves do not end
            at = {"xy": (1, level), "xycoords": ("axes fraction", "data"), "ha": "right", "va": side}
            axes.annotate(f"{label} {level:.2f}", fontsize="small", color="0.3", **at)
