"""The grid of an ablation, and one cell of it: a training run like any other, in a folder of its own."""

import time
import traceback
from collections.abc import Iterator, Sequence
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path

import msgspec

from nanochat_np.config import MINI_GPT_SHAPE, AblateConfig, Learning, ModelKind, TrainConfig
from nanochat_np.errors import ConfigError, Interrupted, NanochatError
from nanochat_np.experiments.lanes import in_lanes
from nanochat_np.train.run import Prepared, prepare, train
from nanochat_np.train.run_folder import RunFolder
from nanochat_np.train.summary import TrainSummary

VARIANTS = {  # name -> tie_lm_head, input_rmsnorm
    "tied_no_input_rmsnorm": (True, False),
    "tied_input_rmsnorm": (True, True),
    "untied_no_input_rmsnorm": (False, False),
    "untied_input_rmsnorm": (False, True),
}


class Cell(msgspec.Struct, frozen=True):
    """A model kind, a variant and a seed, as the settings (resolved) of its run."""

    variant: str
    config: TrainConfig

    @property
    def name(self) -> str:
        return run_name(self.config.model_kind, self.variant, self.config.seed)


def run_name(model_kind: str, variant: str, seed: int) -> str:
    """Name of a cell, and of its folder."""
    return f"{model_kind}_{variant}_seed-{seed}"


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """What a cell reports: the columns of the CSV and the keys of the JSONL.  Units as in `TrainSummary`."""

    variant: str
    tie_lm_head: bool
    input_rmsnorm: bool
    style: str
    parameter_count: int
    steps: int
    seed: int
    final_loss: float
    mean_loss_last_n: float
    last_n: int
    steps_per_sec: float
    tokens_per_sec: float
    vocab_size: int
    train_tokens: int
    model_kind: str
    val_loss: float
    val_bpb: float
    optimizer: str
    lr: float
    train_seconds: float


class Failed(msgspec.Struct, frozen=True):
    """A cell that came to no result, and why."""

    model_kind: str
    variant: str
    seed: int
    error: str


def grid(config: AblateConfig, runs: Path) -> list[Cell]:
    """All cells, by model kind, variant and seed; each one's folder is in ``runs``.

    Raises ConfigError for settings that make no sense, before anything is done.
    """
    if len(set(config.seeds)) < len(config.seeds):
        raise ConfigError(f"--seeds {','.join(map(str, config.seeds))}: names a seed twice")
    kinds: tuple[ModelKind, ...] = ("bigram", "mini-gpt") if config.model_kind == "both" else (config.model_kind,)
    shared = {name: getattr(config, name) for name in Learning.__struct_fields__}
    cells = []
    for kind in kinds:
        # The shape of "both" is that of its mini-gpt.
        settings = shared | (dict.fromkeys(MINI_GPT_SHAPE) if kind == "bigram" and len(kinds) > 1 else {})
        for variant, (tied, normed) in VARIANTS.items():
            for seed in config.seeds:
                run = TrainConfig(
                    **settings,
                    model_kind=kind,
                    tie_lm_head=tied,
                    input_rmsnorm=normed,
                    seed=seed,
                    checkpoint_every=0,
                    sample_tokens=0,
                ).resolved()
                cell = Cell(variant, run)
                cells.append(Cell(variant, msgspec.structs.replace(run, out=str(runs / cell.name))))
    return cells


def check(cells: Sequence[Cell]) -> Prepared:
    """Prepare the last variant, the largest, of each model kind, and return the last of these.

    What is wrong with data, device or sizes is raised here, before anything is written; and compiled code is in its
    cache before processes ask for it side by side.
    """
    last = {cell.config.model_kind: cell for cell in cells}
    return [prepare(cell.config) for cell in last.values()][-1]


def run_cells(cells: Sequence[Cell], jobs: int, threads: int) -> Iterator[tuple[Cell, Row | Failed]]:
    """Run all cells, in this process or in ``jobs`` that share ``threads``; yields each as it ends.

    Raises KeyboardInterrupt on SIGINT or SIGTERM; cells that are under way then have no result.
    """
    if jobs == 1:
        for cell in cells:
            yield cell, run_cell(cell)
        return
    for cell, result in in_lanes(run_cell, cells, jobs, max(1, threads // jobs)):
        yield cell, _failed(cell, result) if isinstance(result, BaseException) else result


def run_cell(cell: Cell) -> Row | Failed:
    """Train a cell in its folder.  An error is a result: it must not take other cells with it, and it has to travel
    between processes, which not every exception can.  Only KeyboardInterrupt is raised."""
    try:
        return _row(cell, _train(cell.config))
    except Interrupted:
        raise KeyboardInterrupt from None
    except Exception as error:
        if cell.config.debug:
            traceback.print_exception(error)
        return _failed(cell, error)


def _train(config: TrainConfig) -> TrainSummary:
    started = time.perf_counter()
    prepared = prepare(config)
    with RunFolder(Path(str(config.out))) as folder:
        return train(prepared, folder, _Silent(), started)


class _Silent:
    """Shows nothing of a run: what is shown of an ablation are its cells."""

    def update(self, step: int, **fields: float | str) -> None:
        pass

    def note(self, text: str) -> None:
        pass


def _row(cell: Cell, summary: TrainSummary) -> Row:
    same = {name: getattr(summary, name) for name in Row.__struct_fields__ if hasattr(summary, name)}
    lr = cell.config.lr
    assert lr is not None  # resolved
    return Row(**same, variant=cell.variant, parameter_count=summary.params, final_loss=summary.train_loss, lr=lr)


def _failed(cell: Cell, error: BaseException) -> Failed:
    match error:
        case NanochatError():
            text = str(error)
        case KeyboardInterrupt():
            text = "its process was told to stop"
        case MemoryError():
            text = f"out of memory: {error}".rstrip(": ")
        case BrokenProcessPool():
            text = "its process was killed (by the system, if memory ran out)"
        case _:
            text = f"{type(error).__name__}: {error}"
    config = cell.config
    return Failed(config.model_kind, cell.variant, config.seed, " ".join(text.split()))
