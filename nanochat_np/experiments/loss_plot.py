"""Losses of a run over its steps, drawn with Matplotlib where that is installed."""

from pathlib import Path

import msgspec
import numpy as np

_TRAIN, _VALIDATION = "#56B4E9", "#D55E00"  # told apart with any colour vision (Okabe & Ito 2008)
_LOSSES = "loss", "training loss, nats a token", "val_bpb", "validation, bits per byte"
_REWARDS = "reward", "mean reward of the answers", "pass_at_1", "held-out problems, pass@1"
_WINDOW = 50  # steps of the running mean, at most


def plot_losses(path: Path, metrics: Path, title: str) -> None:
    """Write ``path`` (PNG) from metrics.jsonl: training loss with its running mean, and validation in bits per byte.

    Where there are rewards, these and pass@1 instead: the loss of a policy gradient tells nothing.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg  # needs no display, and no global state of pyplot
    from matplotlib.figure import Figure

    events = [msgspec.json.decode(line) for line in metrics.read_bytes().splitlines()]
    trained, trained_label, held_out, held_out_label = _REWARDS if any("reward" in e for e in events) else _LOSSES
    train = np.array([(e["step"], e[trained]) for e in events if e["event"] == "step"]).reshape(-1, 2)
    validation = np.array([(e["step"], e[held_out]) for e in events if e["event"] == "eval"]).reshape(-1, 2)
    figure = Figure(figsize=(7, 4.5), dpi=150, layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots()
    window = min(_WINDOW, max(1, len(train) // 10))
    mean = np.convolve(train[:, 1], np.full(window, 1 / window), "valid") if len(train) else train[:, 1]
    axes.plot(*train.T, color=_TRAIN, alpha=0.35, linewidth=0.8)
    axes.plot(train[window - 1 :, 0], mean, color=_TRAIN, label=f"training, mean of {window} steps")
    axes.set_xlabel("optimizer steps")
    axes.set_ylabel(trained_label)
    right = axes.twinx()
    right.plot(*validation.T, color=_VALIDATION, marker="o", markersize=3, label="validation")
    right.set_ylabel(held_out_label)
    axes.set_title(title)
    handles = [*axes.get_legend_handles_labels()[0], *right.get_legend_handles_labels()[0]]
    axes.legend(handles=handles, loc="upper right", frameon=False)
    figure.savefig(path)
