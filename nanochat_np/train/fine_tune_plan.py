"""What a stage after pretraining takes over from its base, and what follows from that and the flags."""

from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from nanochat_np import kernels
from nanochat_np.backend.products import require_products
from nanochat_np.config import FineTuneConfig, MidtrainConfig, PretrainConfig, RlConfig, SftConfig
from nanochat_np.errors import CheckpointError, ConfigError
from nanochat_np.nn.gpt_config import GPTConfig, flops_per_token, shapes
from nanochat_np.optim.groups import ADAMW_MATRIX_LR, MUON_MATRIX_LR, Rates
from nanochat_np.optim.lora import Adapter, matrices
from nanochat_np.text import bpe_file
from nanochat_np.text.bpe import BpeTokenizer
from nanochat_np.train import checkpoint
from nanochat_np.train import plan as plans
from nanochat_np.train.fine_tune import stage_of
from nanochat_np.train.locate import locate
from nanochat_np.train.meta import GPTMeta, Stage
from nanochat_np.train.work import Work

# Rates of midtraining stay and then fall, those of SFT fall for half of it: as nanochat's did.
_DEFAULTS: dict[Stage, dict[str, Any]] = {
    "midtrain": {"num_iterations": 1000, "docs_fraction": 0.15, "init_lr_frac": 1.0, "warmdown_ratio": 0.2},
    "sft": {"num_iterations": 400, "docs_fraction": 0.1, "init_lr_frac": 0.8, "warmdown_ratio": 0.5},
}
_LOSS_ON = {"midtrain": "all", "sft": "assistant"}
_LORA_LR = 0.01
RATES = ("embedding", "unembedding", "matrix", "scalar")


class Base(NamedTuple):
    """What a run begins with."""

    meta: GPTMeta
    tokenizer: BpeTokenizer
    content: checkpoint.Checkpoint


def open_base(named: str | None, stage: Stage) -> Base:
    """The checkpoint that ``--base`` of a stage names.

    Raises ConfigError where it names none, or one that does not come before the stage; CheckpointError for what cannot
    be read.
    """
    if named is None:
        raise ConfigError(f"{stage} begins with a trained model: name its run, or a checkpoint, with --base")
    folder = locate(Path(named).expanduser())
    content = checkpoint.load(folder)
    meta = content.meta
    if not isinstance(meta, GPTMeta):
        raise CheckpointError(f"--base {folder}: holds a model of characters, not a GPT: make one with pretrain")
    if stage == "midtrain" and meta.stage in ("sft", "rl"):
        raise ConfigError(f"--base {folder}: is fine-tuned already, midtraining comes before: name what sft began with")
    if stage == "rl" and meta.stage == "pretrain":
        raise ConfigError(f"--base {folder}: is pretrained alone and cannot answer yet: name a run of sft")
    return Base(meta, bpe_file.load(folder), content)


def resolved(config: FineTuneConfig, meta: GPTMeta, on_gpu: bool) -> FineTuneConfig:
    """Fill what is left to be derived from the stage and the base.  Raises ConfigError for what makes no sense."""
    if 0 < config.memory_guard_ratio < 1:
        raise ConfigError(f"--memory-guard-ratio {config.memory_guard_ratio:g}: takes 0 (off), or 1 and more")
    for name in ("max_seq_len", "device_batch_size", "total_batch_size"):
        if getattr(config, name) == 0:
            raise ConfigError(f"--{name.replace('_', '-')} 0: takes 1 or more, or -1 to have it derived")
    require_rates(config, *(f"{kind}_lr" for kind in RATES), "init_lr_frac", "docs_fraction", "warmdown_ratio")
    for name in ("lora_alpha", "lora_lr"):
        if getattr(config, name) <= 0 and getattr(config, name) != -1:
            raise ConfigError(f"--{name.replace('_', '-')} {getattr(config, name):g}: takes more than 0, or -1")
    stage = stage_of(config)
    inherited = inherited_settings(meta, on_gpu)
    defaults = inherited | _DEFAULTS[stage]
    if config.lora_rank:
        # The base's optimizer and rates are kept for what may come after, but are of no use here.
        defaults |= {"lora_alpha": float(config.lora_rank), "lora_lr": _LORA_LR}
        config = msgspec.structs.replace(config, warm_optimizer=False)
    derived = {name: value for name, value in defaults.items() if getattr(config, name) in (-1, "auto")}
    if config.loss_on == "auto":
        derived["loss_on"] = _LOSS_ON[stage]
    if config.docs is None:
        derived["docs"] = inherited["docs"]
    if config.text_field is None:
        derived["text_field"] = inherited["text_field"] if config.docs is None else "text"
    if config.dtype == "auto":
        derived["dtype"] = precision_for(meta, on_gpu)
    never = {name: 0 for name in ("eval_every", "sample_every", "save_every") if getattr(config, name) == -1}
    found = msgspec.structs.replace(config, **derived, **never)
    require_products(found.dtype, on_gpu)
    return msgspec.structs.replace(found, total_batch_size=_total_batch(found, config.total_batch_size))


def work_of(config: FineTuneConfig, meta: GPTMeta) -> Work:
    """The model, with rows as long as the settings say, and how they train it."""
    model = msgspec.structs.replace(meta.model, sequence_len=config.max_seq_len)
    peaks = {kind: getattr(config, f"{kind}_lr") for kind in RATES}
    return Work(
        model=model,
        rates=Rates(**peaks, weight_decay=0.0),
        iterations=config.num_iterations,
        tokens_per_step=config.total_batch_size,
        accumulation=config.total_batch_size // (config.device_batch_size * config.max_seq_len),
        flops_per_token=flops_per_token(model),
        adapter=_adapter(config, model) if config.lora_rank else None,
    )


def _adapter(config: FineTuneConfig, model: GPTConfig) -> Adapter:
    of_model, rank = shapes(model), config.lora_rank
    names = matrices(of_model, config.lora_on)
    thinnest = min(names, key=lambda name: min(of_model[name]))
    if rank > min(of_model[thinnest]):
        rows, columns = of_model[thinnest]
        raise ConfigError(f"--lora-rank {rank}: more than {thinnest} of {rows} by {columns} can have")
    return Adapter(names=names, rank=rank, alpha=config.lora_alpha, lr=config.lora_lr, seed=config.seed)


def _total_batch(config: FineTuneConfig, given: int) -> int:
    one = config.device_batch_size * config.max_seq_len
    if given > 0 and given % one:
        raise ConfigError(
            f"--total-batch-size {given}: not a multiple of the {one:,} tokens of a forward pass "
            f"(--device-batch-size times --max-seq-len)"
        )
    return max(1, round(config.total_batch_size / one)) * one


def require_rates(config: FineTuneConfig | RlConfig, *names: str) -> None:
    """Raise ConfigError where one of these is below 0 and is not -1."""
    for name in names:
        if -1 < getattr(config, name) < 0:
            raise ConfigError(f"--{name.replace('_', '-')} {getattr(config, name):g}: takes 0 or more, or -1")


def precision_for(meta: GPTMeta, on_gpu: bool) -> str:
    """What ``--dtype auto`` is, for a base."""
    fast = not on_gpu and kernels.multiply_bfloat16()
    return "float64" if meta.dtype == "float64" else "bfloat16" if fast else "float32"


def inherited_settings(meta: GPTMeta, on_gpu: bool) -> dict[str, Any]:
    """Settings of the base under the names of a stage's; the peak rates are those that it trained with."""
    length = meta.model.sequence_len
    try:
        match meta.stage:
            case "import":
                rates, same = Rates(matrix=MUON_MATRIX_LR), _new(length, on_gpu)
            case "rl":
                answering = msgspec.convert(meta.settings, RlConfig)
                rates = Rates(**{name: getattr(answering, f"{name}_lr") for name in RATES})
                same = _new(length, on_gpu) | {"optimizer": answering.optimizer}
            case "pretrain":
                settings = msgspec.convert(meta.settings, PretrainConfig)
                rates = plans.plan(settings, meta.model.vocab_size).rates
                same = _same(settings) | {"docs": settings.data}
            case "midtrain" | "sft":
                kind = MidtrainConfig if meta.stage == "midtrain" else SftConfig
                before = msgspec.convert(meta.settings, kind)
                rates = Rates(**{name: getattr(before, f"{name}_lr") for name in RATES})
                same = _same(before) | {"docs": before.docs}
    except msgspec.ValidationError as error:
        raise CheckpointError(f"--base: the settings in the checkpoint cannot be read ({error})") from None
    matrix = ADAMW_MATRIX_LR if same["optimizer"] == "adamw" else MUON_MATRIX_LR
    peaks = {f"{name}_lr": getattr(rates, name) for name in RATES}
    return same | peaks | {"matrix_lr": rates.matrix if rates.matrix is not None else matrix, "max_seq_len": length}


def _new(length: int, on_gpu: bool) -> dict[str, Any]:
    """What a base does not say that was not trained on rows of documents."""
    rows = 32 if on_gpu else 8
    sizes = {"device_batch_size": rows, "total_batch_size": rows * length}
    return {"docs": "stdlib", "text_field": "text", "optimizer": "muon"} | sizes


def _same(settings: PretrainConfig | FineTuneConfig) -> dict[str, Any]:
    names = ("text_field", "optimizer", "device_batch_size", "total_batch_size")
    return {name: getattr(settings, name) for name in names}
