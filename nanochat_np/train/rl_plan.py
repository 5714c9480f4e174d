"""What reinforcement learning takes over from its base, and what follows from that and the flags."""

import math
from typing import Any

import msgspec

from nanochat_np.backend.products import require_products
from nanochat_np.config import RlConfig
from nanochat_np.errors import ConfigError
from nanochat_np.nn.gpt_config import flops_per_token
from nanochat_np.optim.groups import Rates
from nanochat_np.train.fine_tune_plan import RATES, inherited_settings, precision_for, require_rates
from nanochat_np.train.meta import GPTMeta
from nanochat_np.train.work import Work

_STEPS = 100  # where the problems have no end
_ROWS = 8
_EVAL_ON_GPU, _EVAL_ON_CPU = 400, 50


def resolved(config: RlConfig, meta: GPTMeta, problems: int, on_gpu: bool) -> RlConfig:
    """Fill what is left to be derived from the base and the number of problems, 0 if they have no end.

    Raises ConfigError for what makes no sense.
    """
    if 0 < config.memory_guard_ratio < 1:
        raise ConfigError(f"--memory-guard-ratio {config.memory_guard_ratio:g}: takes 0 (off), or 1 and more")
    rates = [f"{kind}_lr" for kind in RATES]
    require_rates(config, *rates)
    inherited = inherited_settings(meta, on_gpu)
    defaults = {name: inherited[name] for name in (*rates, "optimizer")} | {
        "num_iterations": max(1, problems // config.examples_per_step) if problems else _STEPS,
        "device_batch_size": math.gcd(config.num_samples, _ROWS),
        "eval_examples": _EVAL_ON_GPU if on_gpu else _EVAL_ON_CPU,
        "dtype": precision_for(meta, on_gpu),
    }
    derived: dict[str, Any] = {name: value for name, value in defaults.items() if getattr(config, name) in (-1, "auto")}
    derived |= {name: 0 for name in ("eval_every", "sample_every", "save_every") if getattr(config, name) == -1}
    found = msgspec.structs.replace(config, **derived)
    if found.eval_examples == 0:
        raise ConfigError("--eval-examples 0: takes 1 or more, or -1 to have it derived")
    if found.device_batch_size == 0 or found.num_samples % found.device_batch_size:
        raise ConfigError(
            f"--device-batch-size {found.device_batch_size}: must divide the {found.num_samples} answers to a problem "
            f"(--num-samples)"
        )
    require_products(found.dtype, on_gpu)
    return found


def work_of(config: RlConfig, meta: GPTMeta) -> Work:
    """The base's model, and how the settings train it; ``tokens_per_step`` is the most that a step may have."""
    peaks = {kind: getattr(config, f"{kind}_lr") for kind in RATES}
    answers = config.examples_per_step * config.num_samples
    return Work(
        model=meta.model,
        rates=Rates(**peaks, weight_decay=config.weight_decay),
        iterations=config.num_iterations,
        tokens_per_step=answers * meta.model.sequence_len,
        accumulation=answers // config.device_batch_size,
        flops_per_token=flops_per_token(meta.model),
    )
