"""``midtrain`` and ``sft``: a trained GPT learns conversations."""

import time

from nanochat_np.command_line.console import out
from nanochat_np.commands import stage_run
from nanochat_np.commands.stage_run import opened, run_stage
from nanochat_np.config import FineTuneConfig, refuse_idle_with_lora
from nanochat_np.train.fine_tune import stage_of
from nanochat_np.train.fine_tune_run import fine_tune, prepare
from nanochat_np.train.interrupts import stop_at_once
from nanochat_np.train.summary import FineTuneSummary


def run(config: FineTuneConfig, given: frozenset[str]) -> FineTuneSummary:
    """Fine-tune, or go on with ``--resume``.  Nothing is written before all that is named is known to be good."""
    started = time.perf_counter()
    with stop_at_once():
        found = opened(config, given)
        refuse_idle_with_lora(found.config, given)
        summary = run_stage(found, stage_of(config), started, prepare, fine_tune)
        out(report(summary))
    return summary


def report(summary: FineTuneSummary) -> str:
    """What a person wants to know of a run that ended."""
    s = summary
    steps = 2 * max(s.steps, 1)
    after = [f"        python -m nanochat_np sft --base {s.out}"] if s.command == "midtrain" else []
    lines = [
        *([f"LoRA of rank {s.lora_rank}: {s.trained_params:,} numbers learn"] if s.lora_rank else []),
        *stage_run.report(summary, f"; of documents {s.docs_bpb:.4f}"),
        f"next    python -m nanochat_np {s.command} --resume --out {s.out} --num-iterations {steps}",
        *after,
    ]
    return "\n".join(lines)
