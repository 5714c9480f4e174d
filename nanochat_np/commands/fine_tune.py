"""``midtrain`` and ``sft``: a trained GPT learns conversations."""

import time

import msgspec

from nanochat_np.command_line.console import out
from nanochat_np.commands import stage_run
from nanochat_np.commands.run_path import run_path
from nanochat_np.commands.stage_run import run_stage
from nanochat_np.config import FineTuneConfig, refuse_idle_with_lora
from nanochat_np.train.fine_tune import stage_of
from nanochat_np.train.fine_tune_run import fine_tune, prepare
from nanochat_np.train.interrupts import stop_at_once
from nanochat_np.train.resume import resumed_config
from nanochat_np.train.run_folder import RunFolder
from nanochat_np.train.summary import FineTuneSummary


def run(config: FineTuneConfig, given: frozenset[str]) -> FineTuneSummary:
    """Fine-tune, or go on with ``--resume``.  Nothing is written before all that is named is known to be good."""
    started = time.perf_counter()
    if config.resume_from_step >= 0:
        config = msgspec.structs.replace(config, resume=True)
    with stop_at_once():
        path = run_path(config)
        saved = resumed_config(RunFolder(path), config, given) if path and config.resume else None
        refuse_idle_with_lora(saved or config, given)
        summary = run_stage(saved or config, saved is not None, path, stage_of(config), started, prepare, fine_tune)
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
