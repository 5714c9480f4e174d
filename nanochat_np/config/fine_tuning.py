"""The stages after pretraining: the same flags for both, and for most -1 or nothing, which the stage decides."""

from typing import Annotated, Literal

from msgspec import Meta

from nanochat_np.config.common import (
    Common,
    DeviceName,
    Folder,
    MemoryGuardRatio,
    MemoryGuardWindow,
    Positive,
    Resume,
    spelled_out,
)
from nanochat_np.config.stage import (
    ConfigFile,
    Derived,
    EmbeddingLr,
    EvalEvery,
    FinalLrFrac,
    GradClip,
    Keep,
    MatrixLr,
    MatrixRule,
    Recompute,
    ResumeFromStep,
    RunName,
    SampleEvery,
    SampleTokens,
    SaveEvery,
    ScalarLr,
    Seed,
    Sinks,
    StageDtype,
    UnembeddingLr,
    WarmupSteps,
)
from nanochat_np.errors import ConfigError

LoraPart = Literal["attn", "mlp", "attn.c_q", "attn.c_k", "attn.c_v", "attn.c_proj", "mlp.c_fc", "mlp.c_proj"]
# What does nothing without --lora-rank, and with it.
_OF_LORA = ("lora_alpha", "lora_on", "lora_lr")
_OF_ALL_WEIGHTS = ("optimizer", "embedding_lr", "unembedding_lr", "matrix_lr", "scalar_lr", "warm_optimizer")


class FineTuneData(Common, frozen=True, kw_only=True):
    """Data."""

    base: Annotated[
        Folder | None, Meta(description="run, or checkpoint, to begin with: its weights, tokenizer and settings")
    ] = None
    data: Annotated[
        Folder,
        Meta(
            description="conversations: generated, or of it spelling, counting, arithmetic, identity, unknown, dates, "
            "facts, or paths of JSONL or parquet files or of folders of them; several with commas, each with :SHARE"
        ),
    ] = "generated"
    docs: Annotated[
        Folder | None,
        Meta(description="documents to mix in, what --data of pretrain takes (default: those of the base, or stdlib)"),
    ] = None
    docs_fraction: Annotated[
        float,
        Meta(ge=-1, lt=1, description="share of the rows that are documents; -1: 0.15 for midtrain, 0.1 for sft"),
    ] = -1.0
    text_field: Annotated[
        str | None,
        Meta(description="parquet column or field of JSON objects that has the text of a document (default: text)"),
    ] = None
    loss_on: Annotated[
        Literal["auto", "assistant", "all"],
        Meta(description="tokens of a conversation that are learnt; auto: all for midtrain, assistant for sft"),
    ] = "auto"


class FineTuneTraining(FineTuneData, frozen=True, kw_only=True):
    """Training."""

    num_iterations: Annotated[Derived, Meta(description="optimizer steps; -1: 1000 for midtrain, 400 for sft")] = -1
    max_seq_len: Annotated[Derived, Meta(description="tokens of a row; -1: the base's context")] = -1
    device_batch_size: Annotated[Derived, Meta(description="rows of a forward pass; -1: the base's")] = -1
    total_batch_size: Annotated[Derived, Meta(description="tokens of an optimizer step; -1: the base's")] = -1
    recompute: Recompute = False
    seed: Seed = 42
    device: DeviceName = "auto"
    dtype: StageDtype = "auto"


class FineTuneOptimizer(FineTuneTraining, frozen=True, kw_only=True):
    """Optimizer."""

    warm_optimizer: Annotated[bool, Meta(description="go on with the optimizer's state in the base's checkpoint")] = (
        True
    )
    optimizer: MatrixRule = "auto"
    embedding_lr: EmbeddingLr = -1.0
    unembedding_lr: UnembeddingLr = -1.0
    matrix_lr: MatrixLr = -1.0
    scalar_lr: ScalarLr = -1.0
    init_lr_frac: Annotated[
        float, Meta(ge=-1, description="multiplies all these rates; -1: 1 for midtrain, 0.8 for sft")
    ] = -1.0
    grad_clip: GradClip = 0.0


class FineTuneLora(FineTuneOptimizer, frozen=True, kw_only=True):
    """LoRA."""

    lora_rank: Annotated[
        int,
        Meta(
            ge=0,
            description="learn a change of this rank of the layers' matrices and nothing else, by AdamW (Muon is for "
            "whole matrices); 0: off, all parameters learn",
        ),
    ] = 0
    lora_alpha: Annotated[
        float, Meta(ge=-1, description="the change is multiplied by this and divided by the rank; -1: the rank")
    ] = -1.0
    lora_on: Annotated[
        tuple[LoraPart, ...],
        Meta(
            min_length=1,
            description="matrices of each layer that learn: attn and mlp for all of it, or attn.c_q, attn.c_k, "
            "attn.c_v, attn.c_proj, mlp.c_fc, mlp.c_proj",
        ),
    ] = ("attn", "mlp")
    lora_lr: Annotated[
        float, Meta(ge=-1, description="peak rate of the factors, times --init-lr-frac; -1: 0.01")
    ] = -1.0


class FineTuneSchedule(FineTuneLora, frozen=True, kw_only=True):
    """Schedule."""

    warmup_steps: WarmupSteps = 20
    warmdown_ratio: Annotated[
        float,
        Meta(
            ge=-1, le=1, description="share of the steps, the last, that warm down; -1: 0.2 for midtrain, 0.5 for sft"
        ),
    ] = -1.0
    final_lr_frac: FinalLrFrac = 0.0


class FineTuneRun(FineTuneSchedule, frozen=True, kw_only=True):
    """Run."""

    eval_every: EvalEvery = 200
    eval_tokens: Annotated[
        int, Meta(ge=1, description="tokens of a validation, of conversations and again of documents")
    ] = 2**15
    task_every: Annotated[
        int,
        Meta(
            ge=-1,
            description="ask held-out questions of the generated sets every so many steps and at the end; -1 is never",
        ),
    ] = -1
    task_items: Annotated[Positive, Meta(description="--task-every: questions of each set")] = 50
    sample_every: SampleEvery = 200
    sample_tokens: SampleTokens = 48
    save_every: SaveEvery = 200
    keep: Keep = 2
    out: Annotated[Folder | None, Meta(description="folder of the run (default: results/STAGE_TIME)")] = None
    resume: Resume = False
    resume_from_step: ResumeFromStep = -1
    sinks: Sinks = ()
    run: RunName = ""
    memory_guard_ratio: MemoryGuardRatio = 1.5
    memory_guard_window: MemoryGuardWindow = 10


class FineTuneConfig(FineTuneRun, frozen=True, kw_only=True):
    """What `midtrain` and `sft` take."""

    def __post_init__(self) -> None:
        spelled_out(self)


def refuse_idle_with_lora(config: FineTuneConfig, given: frozenset[str]) -> None:
    """Raise ConfigError for a flag, named on the command line, that would do nothing with this ``lora_rank``."""
    idle = given & set(_OF_ALL_WEIGHTS if config.lora_rank else _OF_LORA)
    if not config.warm_optimizer:
        idle -= {"warm_optimizer"}  # said to be off, as it is
    for name in sorted(idle):
        flag = f"--{name.replace('_', '-')}"
        if config.lora_rank:
            raise ConfigError(f"{flag} does nothing with --lora-rank: leave it out; LoRA has AdamW, anew, at --lora-lr")
        raise ConfigError(f"{flag} does nothing without --lora-rank: leave it out, or give a rank")


class MidtrainConfig(FineTuneConfig, frozen=True, kw_only=True):
    """Teach a pretrained GPT what conversations look like: loss on all their tokens, documents mixed in.

    Examples:
      python -m nanochat_np midtrain --base results/d4
      python -m nanochat_np midtrain --base results/d4 --data chats.jsonl,generated:2 --out results/mid
      python -m nanochat_np midtrain --resume --out results/mid
    """

    config: ConfigFile = None


class SftConfig(FineTuneConfig, frozen=True, kw_only=True):
    """Fine-tune a GPT on conversations: loss on what the assistant says and calls, and on nothing else.

    Examples:
      python -m nanochat_np sft --base results/mid
      python -m nanochat_np sft --base results/mid --data my_chats.jsonl --num-iterations 200 --out results/chat
      python -m nanochat_np sft --base results/mid --data my_chats.jsonl --lora-rank 8 --out results/mine
      python -m nanochat_np sft --resume --out results/chat
    """

    config: ConfigFile = None
