"""What a training run reports: one schema, printed with --json and written to summary.json."""

import msgspec


class TrainSummary(msgspec.Struct, frozen=True, kw_only=True):
    """Losses in nats a token, bpb in bits per UTF-8 byte, times in seconds.

    ``train_loss`` is the loss of the last batch before its update and ``mean_loss_last_n`` the mean of the last
    ``last_n`` of those.  ``train_seconds`` is time in training steps alone, over all parts of a resumed run;
    ``steps_per_sec`` and ``tokens_per_sec`` divide by it, so that evaluation, checkpoints and start-up are not in them.
    ``start_up_seconds`` is reading data and compiling, ``wall_seconds`` all of this process's part after that.
    """

    command: str = "train"
    schema: int = 1
    mode: str
    model_kind: str
    style: str
    data: str
    device: str
    backend: str
    using_gpu: bool
    dtype: str
    tie_lm_head: bool
    input_rmsnorm: bool
    optimizer: str
    params: int
    steps: int
    seed: int
    batch_size: int
    block_size: int
    train_loss: float
    mean_loss_last_n: float
    last_n: int
    val_loss: float
    val_bpb: float
    baselines: dict[str, float]
    baselines_bpb: dict[str, float]
    steps_per_sec: float
    tokens_per_sec: float
    train_seconds: float
    start_up_seconds: float
    wall_seconds: float
    vocab_size: int
    train_tokens: int
    val_tokens: int
    sample: str
    out: str
    checkpoint: str


class StageSummary(msgspec.Struct, frozen=True, kw_only=True):
    """As `TrainSummary`; ``mfu`` is the share of the device's peak, ``total_flops`` what the steps took.

    ``samples`` has what the model makes of each prompt, ``peak_memory_mib`` the most that was seen after a step.
    """

    command: str
    schema: int = 1
    data: str
    device: str
    backend: str
    dtype: str
    architecture: str
    depth: int
    params: int
    vocab_size: int
    optimizer: str
    steps: int
    tokens_per_step: int
    seed: int
    train_loss: float | None
    mean_loss_last_n: float | None
    last_n: int
    val_loss: float
    val_bpb: float
    val_tokens: int
    min_val_bpb: float
    tokens_per_sec: float
    mfu: float | None
    total_flops: float
    train_seconds: float
    start_up_seconds: float
    wall_seconds: float
    peak_memory_mib: float
    samples: dict[str, str]
    out: str
    checkpoint: str


class PretrainSummary(StageSummary, frozen=True, kw_only=True):
    """What `pretrain` prints."""

    command: str = "pretrain"


class FineTuneSummary(StageSummary, frozen=True, kw_only=True):
    """What `midtrain` and `sft` print.

    Losses are those of the tokens that are learnt (``loss_on``) in held-out conversations, ``docs_bpb`` is of held-out
    documents.  ``base`` is what the run began with; ``trained_params`` are the numbers that learn, with ``lora_rank``
    those of the factors.
    """

    base: str
    docs: str
    docs_fraction: float
    loss_on: str
    warm_optimizer: bool
    lora_rank: int
    trained_params: int
    docs_bpb: float


class RlSummary(StageSummary, frozen=True, kw_only=True):
    """What `rl` prints.

    ``train_loss`` and ``mean_loss_last_n`` are of the policy gradient, which tell nothing of progress: ``reward`` does,
    the mean over the answers of the last ``last_n`` steps, and ``pass_at``, the share of held-out problems that one of
    k answers solves, by k; ``pass_at_start`` is that before the first step, None where nothing was evaluated then.
    ``val_loss`` is of the right answers to held-out problems.  ``tokens_per_step`` counts what was answered, in the
    mean, ``total_flops`` answering and learning.
    """

    command: str = "rl"
    base: str
    examples_per_step: int
    num_samples: int
    reward: float | None
    pass_at: dict[int, float]
    pass_at_start: dict[int, float] | None
