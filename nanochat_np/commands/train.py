"""``train``: a model, its validation beside what counting reaches, a sample, and where the files are."""

import math
import sys
import time
from pathlib import Path

from nanochat_np.command_line.console import out, progress
from nanochat_np.config import TrainConfig
from nanochat_np.errors import CheckpointError, ConfigError
from nanochat_np.train import checkpoint
from nanochat_np.train.resume import config_record, resumed_config
from nanochat_np.train.run import prepare, train
from nanochat_np.train.run_folder import RunFolder, default_path
from nanochat_np.train.summary import TrainSummary


def run(config: TrainConfig, given: frozenset[str]) -> TrainSummary:
    """Train, or go on with ``--resume``.  Nothing is written before settings and data are known to be good."""
    started = time.perf_counter()
    config = config.resolved()
    path = _path(config)
    folder = RunFolder(path)
    going_on = False
    if config.resume:
        saved = resumed_config(folder, config, given)
        going_on, config = saved is not None, saved or config
    elif folder.config_path.exists():
        raise ConfigError(f"--out {path}: holds a run already: go on with --resume, or choose another folder")
    with progress(config.steps, config.quiet) as shown:
        if config.resume and not going_on:
            shown.note(f"nothing to go on with in {path}: starting at step 0")
        prepared = prepare(config)
        with folder:
            if not going_on and folder.config_path.exists():
                raise ConfigError(f"--out {path}: another process has just begun a run there")
            folder.write_json("config.json", config_record(config, sys.argv))
            summary = train(prepared, folder, shown, started)
    out(report(summary))
    return summary


def _path(config: TrainConfig) -> Path:
    if config.out is not None:
        return Path(config.out)
    if not config.resume:
        return default_path(f"train_{config.model_kind}")
    try:
        return checkpoint.newest_run(Path("results"))
    except CheckpointError:
        raise CheckpointError("--resume: there is no run under results/; name one with --out") from None


def report(summary: TrainSummary) -> str:
    """What a person wants to know of a run that ended."""
    s = summary
    bytes_per_token = s.val_loss / (math.log(2) * s.val_bpb) if s.val_bpb else 1.0
    rows = [("uniform", s.baselines["uniform"]), ("unigram counts", s.baselines["unigram"])]
    rows += [("bigram counts", s.baselines["bigram"]), (f"this {s.model_kind}", s.val_loss)]
    lines = [
        f"{s.model_kind} on {s.data}: {s.params:,} parameters, {s.steps:,} steps in {s.train_seconds:.1f} s "
        f"({s.tokens_per_sec:,.0f} tokens/s on {s.device})",
        "",
        f"{'validation':16}{'nats/token':>12}{'bits/byte':>12}",
        *(f"{name:16}{loss:12.4f}{loss / (math.log(2) * bytes_per_token):12.4f}" for name, loss in rows),
    ]
    if s.sample:
        lines += ["", "it writes:", *(f"  | {line}" for line in s.sample.split("\n"))]
    lines += [
        "",
        f"files   {s.out}",
        f"next    python -m nanochat_np sample --checkpoint {s.out} --num-samples 3",
    ]
    return "\n".join(lines)
