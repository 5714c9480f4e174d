"""Which peak learning rate suits all four tie/norm variants: the evidence for the defaults in `config.LEARNING_RATES`.

    python scripts/sweep_learning_rates.py [--data pydocs] [--steps 2000] [--seeds 1337,1338,1339] [--out FOLDER]

Runs bigram and mini-gpt with AdamW and SGD at each rate below, and writes FOLDER/runs.csv (a row a run),
FOLDER/README.md (validation loss by rate and variant) and FOLDER/env.json.  Takes some minutes on the CPU.
"""

import csv
import math
import statistics
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import fire
import msgspec

import nanochat_np.backend  # noqa: F401, prepares the process before NumPy loads
from nanochat_np.backend.device import Device
from nanochat_np.config import LEARNING_RATES, AblateConfig, ModelKind, Optimizer
from nanochat_np.data.dataset import Dataset, load_dataset
from nanochat_np.experiments.ablation import VARIANTS, Failed, grid, run_cell
from nanochat_np.experiments.ablation_summary import count_baselines
from nanochat_np.experiments.table import markdown_table
from nanochat_np.train.env_record import env_record

RATES: dict[tuple[ModelKind, Optimizer], tuple[float, ...]] = {
    ("bigram", "adamw"): (0.001, 0.003, 0.01, 0.03, 0.1),
    ("bigram", "sgd"): (0.1, 0.3, 1.0, 3.0, 10.0),
    ("mini-gpt", "adamw"): (0.001, 0.003, 0.01, 0.03, 0.1),
    ("mini-gpt", "sgd"): (0.1, 0.3, 1.0, 3.0, 10.0),
}
COLUMNS = ("model_kind", "optimizer", "lr", "variant", "seed", "val_loss", "error")
Losses = dict[tuple[str, str, float, str], list[float]]  # (model kind, optimizer, rate, variant) -> loss of each seed


def sweep(
    data: str = "pydocs",
    steps: int = 2000,
    seeds: int | tuple[int, ...] = (1337, 1338, 1339),
    out: str = "results/learning_rates",
) -> None:
    """Run the sweep."""
    folder = Path(out)
    folder.mkdir(parents=True, exist_ok=True)
    losses: Losses = {}
    with open(folder / "runs.csv", "w", encoding="utf-8", newline="") as file:
        table = csv.writer(file, lineterminator="\n")
        table.writerow(COLUMNS)
        for kind, optimizer, lr, variant, seed, loss, error in runs(data, steps, seeds):
            table.writerow((kind, optimizer, lr, variant, seed, f"{loss:.6f}", error))
            losses.setdefault((kind, optimizer, lr, variant), []).append(loss)
            print(kind, optimizer, lr, variant, seed, f"{loss:.4f} {error}", file=sys.stderr)
    dataset = load_dataset(data, "classic", 0.1)
    (folder / "README.md").write_text(readme(dataset, steps, losses), encoding="utf-8")
    env = msgspec.json.encode(env_record(Device(), dataset.name, dataset.sha256))
    (folder / "env.json").write_bytes(msgspec.json.format(env) + b"\n")


def runs(data: str, steps: int, seeds: int | tuple[int, ...]) -> Iterator[tuple[Any, ...]]:
    """The values of COLUMNS for each run; the loss of one that failed is nan."""
    chosen = seeds if isinstance(seeds, tuple) else (seeds,)
    for (kind, optimizer), rates in RATES.items():
        for lr in rates:
            config = AblateConfig(
                data=data,
                model_kind=kind,
                optimizer=optimizer,
                lr=lr,
                steps=steps,
                eval_every=0,
                seeds=chosen,
                device="cpu",
            )
            with tempfile.TemporaryDirectory() as folder:
                for cell in grid(config, Path(folder)):
                    result = run_cell(cell)
                    loss, error = (math.nan, result.error) if isinstance(result, Failed) else (result.val_loss, "")
                    yield kind, optimizer, lr, cell.variant, cell.config.seed, loss, error


def readme(dataset: Dataset, steps: int, losses: Losses) -> str:
    """A table for each model kind and optimizer."""
    baselines = count_baselines(dataset)
    counting = ", ".join(f"{name} {each.val_loss:.3f}" for name, each in baselines.items())
    n_seeds = len(next(iter(losses.values())))
    parts = [
        "# Peak learning rates",
        f"`python scripts/sweep_learning_rates.py --data {dataset.name} --steps {steps}`, "
        f"all other settings at the defaults of `train`.",
        f"Validation loss in nats a token, mean ± sample standard deviation over {n_seeds} seed(s). **Bold** is the "
        f"best of a column, * the default in `config.LEARNING_RATES`. Counting alone reaches: {counting}.",
    ]
    for (kind, optimizer), rates in RATES.items():
        best = {v: min(_mean(losses[kind, optimizer, lr, v]) for lr in rates) for v in VARIANTS}
        rows = []
        for lr in rates:
            mark = "*" if LEARNING_RATES[kind, optimizer] == lr else ""
            values = [losses[kind, optimizer, lr, variant] for variant in VARIANTS]
            cells = [_shown(each, _mean(each) == best[v]) for v, each in zip(VARIANTS, values, strict=True)]
            rows.append([f"{lr:g}{mark}", *cells])
        default = LEARNING_RATES[kind, optimizer]
        most = max(_mean(losses[kind, optimizer, default, v]) - best[v] for v in VARIANTS)
        parts += [f"## {kind}, {optimizer}", markdown_table(("rate", *VARIANTS), rows)]
        parts.append(f"The default {default:g} costs at most {most:.3f} over the best rate of each variant.")
    return "\n\n".join(parts) + "\n"


def _mean(values: list[float]) -> float:
    """Infinite where a run failed."""
    mean = statistics.mean(values)
    return math.inf if math.isnan(mean) else mean


def _shown(values: list[float], is_best: bool) -> str:
    spread = f" ± {statistics.stdev(values):.3f}" if len(values) > 1 else ""
    text = f"{_mean(values):.3f}{spread}" if _mean(values) < math.inf else "failed"
    return f"**{text}**" if is_best else text


if __name__ == "__main__":
    fire.Fire(sweep)
