"""What follows from the flags of pretraining: the defaults of the device and the data, the model, the horizon."""

import msgspec

from nanochat_np import kernels
from nanochat_np.backend.products import require_products
from nanochat_np.config import PretrainConfig
from nanochat_np.data.corpus import BUILTINS
from nanochat_np.errors import ConfigError
from nanochat_np.nn.gpt_config import GPTConfig
from nanochat_np.nn.gpt_scaling import REFERENCE_DEPTH, Horizon, horizon, of_depth
from nanochat_np.optim.groups import ADAMW_MATRIX_LR, MUON_MATRIX_LR, Rates
from nanochat_np.train.work import Work

# A built-in text is small: a short context, small steps and a pass or two over it take minutes on a laptop.  The law of
# the rates was found at a hundred times its batch and makes them far too low there: with 1, 3 and 6 times the rates 250
# steps of depth 4 end at 2.04, 1.85 and 1.81 bits per byte.  300 steps end at 1.79, and 800 at 1.92, learnt by heart.
_OF_BUILTIN = {
    "vocab_size": 4096,
    "max_seq_len": 512,
    "device_batch_size": 8,
    "total_batch_size": 4096,
    "rate_scale": 6.0,
    "num_iterations": 300,
    "eval_tokens": 2**17,
}
_OF_CPU = {"vocab_size": 32768, "max_seq_len": 512, "device_batch_size": 8, "eval_tokens": 2**17}
_OF_GPU = {"vocab_size": 32768, "max_seq_len": 2048, "device_batch_size": 32, "eval_tokens": 2**25}
_MATRIX_LR = {"muon": MUON_MATRIX_LR, "adamw": ADAMW_MATRIX_LR}
# What upstream's model of October 2025 was trained with.
_CLASSIC = {"architecture": "classic", "rope_base": 10000.0, "qk_scale": 1.0, "window_pattern": "L"}


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """Sizes in tokens; ``rates`` are the peak rates of this model and batch, with the weight decay of this horizon."""

    model: GPTConfig
    horizon: Horizon
    rates: Rates
    accumulation: int  # forward passes of an optimizer step

    @property
    def work(self) -> Work:
        """What the stage needs of it."""
        return Work(
            model=self.model,
            rates=self.rates,
            iterations=self.horizon.iterations,
            tokens_per_step=self.horizon.total_batch_size,
            accumulation=self.accumulation,
            flops_per_token=self.horizon.flops_per_token,
        )


def resolved(config: PretrainConfig, on_gpu: bool) -> PretrainConfig:
    """Fill what is left to be derived and does not depend on the model.  Raises ConfigError for what makes no sense."""
    if 0 < config.memory_guard_ratio < 1:
        raise ConfigError(f"--memory-guard-ratio {config.memory_guard_ratio:g}: takes 0 (off), or 1 and more")
    if config.dtype == "auto":
        fast = not on_gpu and kernels.multiply_bfloat16()
        config = msgspec.structs.replace(config, dtype="bfloat16" if fast else "float32")
    require_products(config.dtype, on_gpu)
    if config.rate_scale <= 0 and config.rate_scale != -1:
        raise ConfigError(f"--rate-scale {config.rate_scale:g}: must be more than 0, or -1 to have it derived")
    if config.head_dim % 2:
        raise ConfigError(f"--head-dim {config.head_dim}: must be even, rotary embeddings turn its two halves")
    for name in ("vocab_size", "max_seq_len", "device_batch_size", "total_batch_size", "n_kv_head", "eval_tokens"):
        if getattr(config, name) == 0:
            raise ConfigError(f"--{name.replace('_', '-')} 0: takes 1 or more, or -1 to have it derived")
    built_in = config.data in BUILTINS or config.data.startswith("stories:")
    defaults: dict[str, float] = dict(_OF_BUILTIN if built_in else _OF_GPU if on_gpu else _OF_CPU)
    if config.target_flops > 0 or config.max_seq_len > 0 or config.device_batch_size > 0:
        # The small steps of a built-in text fit its own context and rows; with others the scaling law is for all.
        defaults.pop("total_batch_size", None)
        defaults.pop("rate_scale", None)
    if config.target_flops > 0:
        defaults.pop("num_iterations", None)
    defaults = {"rate_scale": 1.0, "matrix_lr": _MATRIX_LR[config.optimizer]} | defaults
    derived = {name: value for name, value in defaults.items() if getattr(config, name) == -1}
    never = {name: 0 for name in ("eval_every", "sample_every", "save_every") if getattr(config, name) == -1}
    return msgspec.structs.replace(config, **derived, **never)


def plan(config: PretrainConfig, vocab_size: int) -> Plan:
    """The model, the horizon and the rates of resolved settings, for a vocabulary."""
    model = model_of(config, config.depth, vocab_size)
    found = horizon(
        model,
        model_of(config, REFERENCE_DEPTH, vocab_size),
        ratio=config.target_param_data_ratio,
        weight_decay=config.weight_decay,
        total_batch_size=config.total_batch_size if config.total_batch_size > 0 else None,
        iterations=config.num_iterations if config.num_iterations >= 0 else None,
        target_flops=config.target_flops if config.target_flops > 0 else None,
        multiple_of=config.device_batch_size * config.max_seq_len,
    )
    scale = found.rate_multiplier * config.rate_scale
    rates = Rates(
        embedding=config.embedding_lr * scale,
        unembedding=config.unembedding_lr * scale,
        matrix=config.matrix_lr * scale,
        scalar=config.scalar_lr * scale,
        weight_decay=found.weight_decay,
    )
    pass_tokens = config.device_batch_size * config.max_seq_len
    return Plan(model=model, horizon=found, rates=rates, accumulation=found.total_batch_size // pass_tokens)


def model_of(config: PretrainConfig, depth: int, vocab_size: int) -> GPTConfig:
    """The model of a depth.  Raises ConfigError where the heads do not fit."""
    model = of_depth(depth, config.aspect_ratio, config.head_dim, config.max_seq_len, vocab_size, config.window_pattern)
    changes: dict[str, object] = dict(_CLASSIC) if config.architecture == "classic" else {}
    if config.n_kv_head > 0 and depth == config.depth:
        changes["n_kv_head"] = config.n_kv_head
    return msgspec.structs.replace(model, **changes)
