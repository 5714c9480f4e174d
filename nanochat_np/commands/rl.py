"""``rl``: a fine-tuned GPT learns from what its own answers are worth."""

import time

from nanochat_np.command_line.console import out
from nanochat_np.commands import stage_run
from nanochat_np.commands.stage_run import opened, run_stage
from nanochat_np.config import RlConfig
from nanochat_np.train.interrupts import stop_at_once
from nanochat_np.train.rl_run import prepare, reinforce
from nanochat_np.train.summary import RlSummary


def run(config: RlConfig, given: frozenset[str]) -> RlSummary:
    """Train, or go on with ``--resume``.  Nothing is written before all that is named is known to be good."""
    started = time.perf_counter()
    with stop_at_once():
        found = opened(config, given)
        summary = run_stage(found, "rl", started, prepare, reinforce)
        out(report(summary))
    return summary


def report(summary: RlSummary) -> str:
    """What a person wants to know of a run that ended."""
    s = summary
    reward = "" if s.reward is None else f"; mean reward {s.reward:.3f} in the last {s.last_n} steps"
    before = {k: f"{share:.3f} -> " for k, share in (s.pass_at_start or {}).items()}
    solved = [f"pass@{k} {before.get(k, '')}{share:.3f}" for k, share in s.pass_at.items()]
    lines = [
        *stage_run.report(summary, reward),
        f"solved  {', '.join(solved)}",
        f"next    python -m nanochat_np rl --resume --out {s.out} --num-iterations {2 * max(s.steps, 1)}",
    ]
    return "\n".join(lines)
