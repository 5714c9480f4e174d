"""Pretraining of the nanochat GPT: upstream's flags under upstream's names, and ours.

Source of names and defaults: karpathy/nanochat at 92d63d4, scripts/base_train.py.  As there, -1 leaves a number to be
derived.  What differs: the defaults where the data is a built-in text or the device a CPU (`train.plan`).
"""

from typing import Annotated, Literal

from msgspec import Meta

from nanochat_np.config.common import (
    Common,
    DeviceName,
    Folder,
    MemoryGuardRatio,
    MemoryGuardWindow,
    Resume,
    spelled_out,
)
from nanochat_np.config.stage import (
    ConfigFile,
    Derived,
    EvalEvery,
    FinalLrFrac,
    GradClip,
    Keep,
    Recompute,
    ResumeFromStep,
    RunName,
    SampleEvery,
    SampleTokens,
    SaveEvery,
    Seed,
    Sinks,
    StageDtype,
    WarmupSteps,
)

Architecture = Literal["current", "classic"]


class PretrainData(Common, frozen=True, kw_only=True):
    """Data."""

    data: Annotated[
        Folder,
        Meta(
            description="a built-in text (see train --help), climbmix or fineweb-edu once downloaded, or the path of a "
            "parquet, JSONL or text file or of a folder of them"
        ),
    ] = "stdlib"
    text_field: Annotated[str, Meta(description="parquet column or field of JSON objects that has the text")] = "text"
    tokenizer: Annotated[
        Folder | None, Meta(description="folder of a tokenizer (default: one is trained on the data)")
    ] = None
    vocab_size: Annotated[
        Derived, Meta(description="tokens of the vocabulary to train; -1: 4096 for a built-in text, else 32768")
    ] = -1


class PretrainModel(PretrainData, frozen=True, kw_only=True):
    """Model."""

    depth: Annotated[int, Meta(ge=1, description="transformer layers; width, batch, rates and length follow")] = 4
    aspect_ratio: Annotated[int, Meta(ge=1, description="width of the model for each layer")] = 64
    head_dim: Annotated[int, Meta(ge=2, description="width of an attention head; the model's is rounded up to it")] = (
        128
    )
    n_kv_head: Annotated[Derived, Meta(description="heads of keys and values; -1: as many as of queries")] = -1
    max_seq_len: Annotated[
        Derived, Meta(description="tokens of context; -1: 2048 on a GPU, 512 on a CPU and for a built-in text")
    ] = -1
    window_pattern: Annotated[
        str, Meta(description="how far each layer looks back, repeated: L all, S a quarter of the context; last is L")
    ] = "SSSL"
    architecture: Annotated[
        Architecture, Meta(description="upstream's of 2026, or the one of October 2025 that Hugging Face has")
    ] = "current"


class PretrainTraining(PretrainModel, frozen=True, kw_only=True):
    """Training."""

    num_iterations: Annotated[
        Derived, Meta(description="optimizer steps; -1: from the two flags below (300 for a built-in text)")
    ] = -1
    target_flops: Annotated[float, Meta(description="operations to spend; -1: from the flag below")] = -1.0
    target_param_data_ratio: Annotated[
        float, Meta(gt=0, description="tokens to train on for each parameter of the layers' matrices and the head")
    ] = 12.0
    device_batch_size: Annotated[
        Derived, Meta(description="rows of a forward pass; -1: 32 on a GPU, 8 on a CPU and for a built-in text")
    ] = -1
    total_batch_size: Annotated[
        Derived,
        Meta(description="tokens of an optimizer step; -1: by the scaling law (4096 for a built-in text)"),
    ] = -1
    recompute: Recompute = False
    seed: Seed = 42
    device: DeviceName = "auto"
    dtype: StageDtype = "auto"


class PretrainOptimizer(PretrainTraining, frozen=True, kw_only=True):
    """Optimizer."""

    optimizer: Annotated[
        Literal["muon", "adamw"], Meta(description="rule for the layers' matrices; all else is AdamW's")
    ] = "muon"
    embedding_lr: Annotated[float, Meta(ge=0, description="rate of the token embeddings, at a width of 768")] = 0.3
    unembedding_lr: Annotated[float, Meta(ge=0, description="rate of the output head, at a width of 768")] = 0.008
    matrix_lr: Annotated[
        float, Meta(description="rate of the layers' matrices; -1: 0.02 for muon, see docs for adamw")
    ] = -1.0
    scalar_lr: Annotated[float, Meta(ge=0, description="rate of the residual and x0 lambdas")] = 0.5
    rate_scale: Annotated[
        float, Meta(description="multiplies all rates, after the scaling law; -1: 1, and 6 for a built-in text")
    ] = -1.0
    weight_decay: Annotated[float, Meta(ge=0, description="cautious decay of the layers' matrices, at depth 12")] = 0.28
    grad_clip: GradClip = 0.0


class PretrainSchedule(PretrainOptimizer, frozen=True, kw_only=True):
    """Schedule."""

    warmup_steps: WarmupSteps = 40
    warmdown_ratio: Annotated[float, Meta(ge=0, le=1, description="share of the steps, the last, that warm down")] = (
        0.65
    )
    final_lr_frac: FinalLrFrac = 0.05


class PretrainRun(PretrainSchedule, frozen=True, kw_only=True):
    """Run."""

    eval_every: EvalEvery = 250
    eval_tokens: Annotated[
        Derived, Meta(description="tokens of a validation; -1: about all, at most 2**25 on a GPU, 2**17 on a CPU")
    ] = -1
    sample_every: SampleEvery = 2000
    sample_tokens: SampleTokens = 32
    core_metric_every: Annotated[
        int, Meta(ge=-1, description="compute CORE every so many steps and at the end; -1 is never")
    ] = -1
    core_metric_max_per_task: Annotated[
        int, Meta(ge=-1, description="items of each of CORE's tasks, see docs/evaluation.md; -1 is all")
    ] = 500
    core_bundle: Annotated[
        Folder | None, Meta(description="folder of CORE's bundle (default: eval/core in the data cache)")
    ] = None
    save_every: SaveEvery = 250
    keep: Keep = 2
    out: Annotated[Folder | None, Meta(description="folder of the run (default: results/dDEPTH_TIME)")] = None
    resume: Resume = False
    resume_from_step: ResumeFromStep = -1
    sinks: Sinks = ()
    run: RunName = ""
    memory_guard_ratio: MemoryGuardRatio = 1.5
    memory_guard_window: MemoryGuardWindow = 10


class PretrainConfig(PretrainRun, frozen=True, kw_only=True):
    """Train a GPT from nothing, with karpathy/nanochat's model, optimizer, schedule and scaling laws.

    Examples:
      python -m nanochat_np pretrain --depth 4
      python -m nanochat_np pretrain --dry-run --depth 12 --data climbmix
      python -m nanochat_np pretrain --config scripts/configs/d12.toml --device cuda --out results/d12
      python -m nanochat_np pretrain --resume --out results/d12
    """

    config: ConfigFile = None
    dry_run: Annotated[bool, Meta(description="show what follows from the flags, and begin nothing")] = False

    def __post_init__(self) -> None:
        spelled_out(self)
