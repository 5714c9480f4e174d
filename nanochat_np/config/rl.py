"""Reinforcement learning: for most flags -1 or nothing means what the base and upstream's recipe say."""

from typing import Annotated

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
)


class RlData(Common, frozen=True, kw_only=True):
    """Data."""

    base: Annotated[
        Folder | None, Meta(description="run, or checkpoint, of sft: its weights, tokenizer and settings")
    ] = None
    data: Annotated[
        Folder,
        Meta(
            description="problems whose answers can be checked: arithmetic, counting, spelling, identity, unknown, "
            "dates, facts, or paths of JSONL or parquet files whose answers end in GSM8K's '#### NUMBER'; several "
            "with commas, each with :SHARE"
        ),
    ] = "arithmetic"


class RlAnswers(RlData, frozen=True, kw_only=True):
    """Answers."""

    examples_per_step: Annotated[Positive, Meta(description="problems of an optimizer step")] = 16
    num_samples: Annotated[int, Meta(ge=2, description="answers to each, which are compared with one another")] = 16
    max_new_tokens: Annotated[
        Positive, Meta(description="tokens of an answer, at most; the context may allow less")
    ] = 256
    temperature: Annotated[float, Meta(gt=0, description="divides the logits that answers are drawn by")] = 1.0
    top_k: Annotated[int, Meta(ge=0, description="draw from so many of the likeliest tokens; 0 is all")] = 50


class RlTraining(RlAnswers, frozen=True, kw_only=True):
    """Training."""

    num_iterations: Annotated[
        Derived, Meta(description="optimizer steps; -1: once through a file, 100 of a generated set")
    ] = -1
    device_batch_size: Annotated[
        Derived, Meta(description="answers of a forward pass, a divisor of --num-samples; -1: 8 at most")
    ] = -1
    recompute: Recompute = False
    seed: Seed = 42
    device: DeviceName = "auto"
    dtype: StageDtype = "auto"


class RlOptimizer(RlTraining, frozen=True, kw_only=True):
    """Optimizer."""

    optimizer: MatrixRule = "auto"
    embedding_lr: EmbeddingLr = -1.0
    unembedding_lr: UnembeddingLr = -1.0
    matrix_lr: MatrixLr = -1.0
    scalar_lr: ScalarLr = -1.0
    init_lr_frac: Annotated[float, Meta(ge=0, description="multiplies all these rates, which fall to 0 from there")] = (
        0.05
    )
    weight_decay: Annotated[float, Meta(ge=0, description="of the layers' matrices")] = 0.0
    grad_clip: GradClip = 0.0


class RlRun(RlOptimizer, frozen=True, kw_only=True):
    """Run."""

    eval_every: EvalEvery = 60
    eval_examples: Annotated[
        int, Meta(ge=-1, description="held-out problems of an evaluation; -1: 400 on a GPU, else 50")
    ] = -1
    eval_tokens: Annotated[int, Meta(ge=1, description="tokens whose loss is validated: held-out right answers")] = (
        2**13
    )
    sample_every: SampleEvery = 60
    sample_tokens: SampleTokens = 48
    save_every: SaveEvery = 60
    keep: Keep = 2
    out: Annotated[Folder | None, Meta(description="folder of the run (default: results/rl_TIME)")] = None
    resume: Resume = False
    resume_from_step: ResumeFromStep = -1
    sinks: Sinks = ()
    run: RunName = ""
    memory_guard_ratio: MemoryGuardRatio = 2.0  # answers may rightly grow longer
    memory_guard_window: MemoryGuardWindow = 10


class RlConfig(RlRun, frozen=True, kw_only=True):
    """Train a fine-tuned GPT on its own answers: those that are right become likelier.

    Examples:
      python -m nanochat_np rl --base results/chat
      python -m nanochat_np rl --base results/chat --data arithmetic,counting:2 --num-iterations 200 --out results/rl
      python -m nanochat_np rl --base results/chat --data gsm8k_train.jsonl
      python -m nanochat_np rl --resume --out results/rl
    """

    config: ConfigFile = None

    def __post_init__(self) -> None:
        spelled_out(self)
