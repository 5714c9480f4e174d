"""``pretrain``: a GPT from nothing, or what would follow from the flags."""

import time

import msgspec

from nanochat_np.backend.device import select_device
from nanochat_np.command_line.console import out
from nanochat_np.commands import stage_run
from nanochat_np.commands.stage_run import opened, run_stage
from nanochat_np.config import PretrainConfig
from nanochat_np.errors import ConfigError
from nanochat_np.nn.gpt_config import scaling_counts
from nanochat_np.train import plan as plans
from nanochat_np.train.footprint import gpt_step_parts
from nanochat_np.train.interrupts import stop_at_once
from nanochat_np.train.pretrain_run import prepare, pretrain
from nanochat_np.train.summary import PretrainSummary


class DryRun(msgspec.Struct, frozen=True, kw_only=True):
    """What follows from the flags.  Sizes in tokens; ``parameters`` by group, and their total."""

    command: str = "pretrain"
    schema: int = 1
    dry_run: bool = True
    architecture: str
    depth: int
    n_embd: int
    n_head: int
    n_kv_head: int
    sequence_len: int
    windows: list[int]
    vocab_size: int
    parameters: dict[str, int]
    scaling_params: int
    flops_per_token: int
    target_tokens: int
    total_batch_size: int
    device_batch_size: int
    accumulation: int
    num_iterations: int
    tokens: int
    total_flops: float
    rate_multiplier: float
    weight_decay: float
    step_memory_mib: float
    step_memory_parts_mib: dict[str, float]


def run(config: PretrainConfig, given: frozenset[str]) -> PretrainSummary | DryRun:
    """Pretrain, or go on with ``--resume``.  Nothing is written before settings and data are known to be good."""
    started = time.perf_counter()
    with stop_at_once():
        found = opened(config, given)
        if found.config.dry_run:
            derived = _derived(found.config)
            out(_table(derived))
            return derived
        summary = run_stage(found, f"d{found.config.depth}", started, prepare, pretrain)
        out(report(summary))
    return summary


def _derived(config: PretrainConfig) -> DryRun:
    settings = plans.resolved(config, select_device(config.device).index is not None)
    if config.tokenizer is not None and config.vocab_size == -1:
        raise ConfigError("--dry-run reads no tokenizer: say its size with --vocab-size")
    plan = plans.plan(settings, settings.vocab_size)
    model, horizon = plan.model, plan.horizon
    rows = settings.device_batch_size
    parts = {name: size / 2**20 for name, size in gpt_step_parts(model, rows, settings.recompute, 4).items()}
    return DryRun(
        architecture=model.architecture,
        depth=model.n_layer,
        n_embd=model.n_embd,
        n_head=model.n_head,
        n_kv_head=model.n_kv_head,
        sequence_len=model.sequence_len,
        windows=model.windows(),
        vocab_size=model.vocab_size,
        parameters=scaling_counts(model),
        scaling_params=horizon.scaling_params,
        flops_per_token=horizon.flops_per_token,
        target_tokens=horizon.target_tokens,
        total_batch_size=horizon.total_batch_size,
        device_batch_size=rows,
        accumulation=plan.accumulation,
        num_iterations=horizon.iterations,
        tokens=horizon.iterations * horizon.total_batch_size,
        total_flops=float(horizon.flops_per_token) * horizon.iterations * horizon.total_batch_size,
        rate_multiplier=horizon.rate_multiplier * settings.rate_scale,
        weight_decay=horizon.weight_decay,
        step_memory_mib=sum(parts.values()),
        step_memory_parts_mib=parts,
    )


def _table(found: DryRun) -> str:
    d = found
    rows = [
        ("layers", f"{d.depth}"),
        ("width", f"{d.n_embd}"),
        ("heads", f"{d.n_head}" if d.n_kv_head == d.n_head else f"{d.n_head}, of keys and values {d.n_kv_head}"),
        ("context", f"{d.sequence_len:,} tokens"),
        ("windows", " ".join(map(str, d.windows))),
        ("vocabulary", f"{d.vocab_size:,}"),
        *((f"params {name}", f"{count:,}") for name, count in d.parameters.items()),
        ("params that scale", f"{d.scaling_params:,}"),
        ("FLOPs a token", f"{d.flops_per_token:.6e}"),
        ("horizon", f"{d.target_tokens:,} tokens by the ratio"),
        ("batch", f"{d.total_batch_size:,} tokens: {d.accumulation} passes of {d.device_batch_size} rows"),
        ("steps", f"{d.num_iterations:,}, {d.tokens:,} tokens, {d.total_flops:.3e} FLOPs"),
        ("rate multiplier", f"{d.rate_multiplier:.4f}"),
        ("weight decay", f"{d.weight_decay:.5f}"),
        ("memory of a step", f"about {d.step_memory_mib:,.0f} MiB"),
        *((f"  {name.replace('_', ' ')}", f"{size:,.0f} MiB") for name, size in d.step_memory_parts_mib.items()),
    ]
    return "\n".join(f"{name:28}{value}" for name, value in rows)


def report(summary: PretrainSummary) -> str:
    """What a person wants to know of a run that ended."""
    s = summary
    lines = [
        *stage_run.report(summary),
        f"next    python -m nanochat_np pretrain --resume --out {s.out} --num-iterations {2 * max(s.steps, 1)}",
        f"        python -m nanochat_np midtrain --base {s.out}",
        f"        python -m nanochat_np export --checkpoint {s.out} --out exported --format upstream",
    ]
    return "\n".join(lines)
