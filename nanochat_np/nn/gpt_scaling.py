"""One dial: from a depth to the width, the batch, the learning rates, the weight decay and the number of steps.

Source: karpathy/nanochat at 92d63d4, scripts/base_train.py.  Everything was tuned at depth 12 with batches of 2¹⁹
tokens and is carried to other sizes: batches grow with the tokens to the power 0.383, rates with the root of the batch,
and weight decay so that its time constant, in epochs of the horizon, stays the same.
"""

import math

import msgspec

from nanochat_np.errors import ConfigError
from nanochat_np.nn.gpt_config import GPTConfig, flops_per_token, scaling_counts

REFERENCE_DEPTH = 12
REFERENCE_BATCH = 2**19
_BATCH_EXPONENT = 0.383


class Horizon(msgspec.Struct, frozen=True, kw_only=True):
    """What follows from a model and a training length.  Sizes in tokens."""

    scaling_params: int
    target_tokens: int
    total_batch_size: int
    iterations: int
    rate_multiplier: float  # of all rates but the smear group's
    weight_decay: float
    flops_per_token: int


def of_depth(
    depth: int,
    aspect_ratio: int = 64,
    head_dim: int = 128,
    sequence_len: int = 2048,
    vocab_size: int = 32768,
    pattern: str = "SSSL",
) -> GPTConfig:
    """The current model of a depth: depth · aspect_ratio wide, rounded up to whole heads, one key head a query head."""
    n_head = math.ceil(depth * aspect_ratio / head_dim)
    return GPTConfig(
        sequence_len=sequence_len,
        vocab_size=vocab_size,
        n_layer=depth,
        n_head=n_head,
        n_kv_head=n_head,
        n_embd=n_head * head_dim,
        window_pattern=pattern,
    )


def scaling_params(config: GPTConfig) -> int:
    """The parameters that a horizon is counted in: the layers' matrices and the head."""
    counts = scaling_counts(config)
    return counts["transformer_matrices"] + counts["lm_head"]


def horizon(
    config: GPTConfig,
    reference: GPTConfig,
    *,
    ratio: float = 12.0,
    weight_decay: float = 0.28,
    total_batch_size: int | None = None,
    iterations: int | None = None,
    target_flops: float | None = None,
    multiple_of: int = 1,
) -> Horizon:
    """How long to train, and with what batch, rates and decay.

    ``reference`` is the model of depth 12 of the same aspect, head, vocabulary and sequence length.  The length is
    ``iterations`` if given, else what ``target_flops`` buys, else ``ratio`` tokens for each scaling parameter.  A batch
    is a multiple of the ``multiple_of`` tokens of a forward pass: one that is derived is rounded to it.  Raises
    ConfigError for a length of no steps, and a batch that is given and is no multiple.
    """
    count = scaling_params(config)
    target = int(ratio * count)
    reference_tokens = ratio * scaling_params(reference)
    if total_batch_size is not None and total_batch_size % multiple_of:
        raise ConfigError(
            f"--total-batch-size {total_batch_size}: not a multiple of the {multiple_of:,} tokens of a forward pass "
            f"(--device-batch-size times --max-seq-len)"
        )
    law = 2 ** round(math.log2(REFERENCE_BATCH * (target / reference_tokens) ** _BATCH_EXPONENT))
    batch = total_batch_size or max(1, round(law / multiple_of)) * multiple_of
    operations = flops_per_token(config)
    if iterations is None:
        iterations = round(target_flops / (operations * batch)) if target_flops else target // batch
        if iterations < 1:
            raise ConfigError(f"no step of {batch:,} tokens fits the horizon of {target:,}: lower --total-batch-size")
    return Horizon(
        scaling_params=count,
        target_tokens=target,
        total_batch_size=batch,
        iterations=iterations,
        rate_multiplier=math.sqrt(batch / REFERENCE_BATCH),
        weight_decay=weight_decay * math.sqrt(batch / REFERENCE_BATCH) * (reference_tokens / target),
        flops_per_token=operations,
    )
