"""``doctor --plan``: the memory of a training step, by what it is for, beside what there is."""

from typing import Any

import psutil

from nanochat_np.config import PretrainConfig
from nanochat_np.train import plan as plans
from nanochat_np.train.footprint import gpt_step_parts

MIB = 2**20


def plan_section(depth: int) -> dict[str, Any]:
    """What ``pretrain --depth`` with its defaults holds at the peak of a step on the CPU, in MiB."""
    settings = plans.resolved(PretrainConfig(depth=depth), False)
    model = plans.plan(settings, settings.vocab_size).model
    parts = gpt_step_parts(model, settings.device_batch_size, settings.recompute, 4)
    of_step = {"of_a_step": sum(parts.values()), "available": psutil.virtual_memory().available}
    return {
        "layers": model.n_layer,
        "width": model.n_embd,
        "tokens_of_a_pass": settings.device_batch_size * model.sequence_len,
        **{f"{name}_mib": round(size / MIB) for name, size in (parts | of_step).items()},
    }
