"""``train``: a model, its validation beside what counting reaches, a sample, and where the files are."""

import shlex
import time

from nanochat_np.command_line.console import out, progress
from nanochat_np.commands.run_path import require_free, run_path
from nanochat_np.config import TrainConfig, refuse_idle
from nanochat_np.train.interrupts import stop_at_once
from nanochat_np.train.resume import resumed_config
from nanochat_np.train.run import prepare, train
from nanochat_np.train.run_folder import RunFolder, new_path
from nanochat_np.train.summary import TrainSummary


def run(config: TrainConfig, given: frozenset[str]) -> TrainSummary:
    """Train, or go on with ``--resume``.  Nothing is written before settings and data are known to be good."""
    started = time.perf_counter()
    with stop_at_once():
        path = run_path(config)
        saved = resumed_config(RunFolder(path), config, given) if path and config.resume else None
        settings = (saved or config).resolved()
        refuse_idle(settings, given)
        require_free(path, config.resume)
        with progress(settings.steps, settings.quiet) as shown:
            if config.resume and not saved:
                shown.note(f"nothing to go on with in {path}: starting at step 0")
            prepared = prepare(settings, shown.note)
            with RunFolder(path or new_path(f"train_{settings.model_kind}")) as folder:
                require_free(path, config.resume)  # once more: another process may have begun while this one prepared
                summary = train(prepared, folder, shown, started)
        out(report(summary))
    return summary


def report(summary: TrainSummary) -> str:
    """What a person wants to know of a run that ended."""
    s = summary
    titles = {"uniform": "uniform", "unigram": "unigram counts", "bigram": "bigram counts"}
    rows = [(title, s.baselines[name], s.baselines_bpb[name]) for name, title in titles.items()]
    rows.append((f"this {s.model_kind}", s.val_loss, s.val_bpb))
    lines = [
        f"{s.model_kind} on {s.data}: {s.params:,} parameters, {s.steps:,} steps in {s.train_seconds:.1f} s "
        f"({s.tokens_per_sec:,.0f} tokens/s on {s.device})",
        "",
        f"{'validation':16}{'nats/token':>12}{'bits/byte':>12}",
        *(f"{title:16}{loss:12.4f}{bpb:12.4f}" for title, loss, bpb in rows),
    ]
    if s.sample:
        lines += ["", "it writes:", *(f"  | {line}" for line in s.sample.split("\n"))]
    lines += [
        "",
        f"files   {s.out}",
        f"next    python -m nanochat_np sample --checkpoint {s.out} --num-samples 3",
        f"        python -m nanochat_np train --data {shlex.quote(s.data)} --n-layer 2 --n-head 4 --n-embd 64 "
        f"--block-size 64 --steps 3000",
    ]
    return "\n".join(lines)
