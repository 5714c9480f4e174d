"""The character lab: train, ablate, sample."""

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from nanochat_np.config.common import (
    Common,
    Count,
    DeviceName,
    Folder,
    MemoryGuardRatio,
    MemoryGuardWindow,
    Positive,
    Resume,
)
from nanochat_np.errors import ConfigError

Mode = Literal["tensor", "scalar"]
ModelKind = Literal["bigram", "mini-gpt"]
Style = Literal["classic", "futuristic"]
Optimizer = Literal["adamw", "sgd"]
Schedule = Literal["constant", "linear", "sqrt", "cosine"]
Dtype = Literal["float32", "float64"]
Precision = Literal["float32", "float64", "bfloat16", "bf16"]  # see `spelled_out`


# Shape of the mini-gpt where no flag says otherwise (specification of the character lab, section 2.3).
MINI_GPT_SHAPE = {"n_layer": 1, "n_head": 4, "n_embd": 16, "block_size": 8}
# Peak learning rates at which all four tie/norm variants learn; chosen by the sweep in results/learning_rates.  SGD
# takes the mini-gpt a little further at 1.0, but so close to instability that rounding alone makes two runs part.
LEARNING_RATES = {
    ("bigram", "adamw"): 0.01,
    ("bigram", "sgd"): 1.0,
    ("mini-gpt", "adamw"): 0.01,
    ("mini-gpt", "sgd"): 0.3,
}


class Corpus(Common, frozen=True, kw_only=True):
    """Data."""

    style: Annotated[
        Style, Meta(description="futuristic adds a built-in text to the training data and biases bigram sampling")
    ] = "classic"
    data: Annotated[
        str,
        Meta(
            description="pydocs, stdlib, stories, stories:CHARACTERS, shakespeare, or the path of a UTF-8 file or "
            "folder"
        ),
    ] = "pydocs"
    val_fraction: Annotated[float, Meta(gt=0, lt=1, description="share of the text, its tail, kept for validation")] = (
        0.1
    )
    val_tokens: Annotated[
        int, Meta(ge=0, description="validate on a seeded sample of about this many tokens; 0 is all of them")
    ] = 0


class Shape(Corpus, frozen=True, kw_only=True):
    """Model."""

    mode: Annotated[Mode, Meta(description="arrays, or the scalar autograd tape (float64, CPU)")] = "tensor"
    n_layer: Annotated[Positive | None, Meta(description="transformer blocks (mini-gpt, default 1)")] = None
    n_head: Annotated[Positive | None, Meta(description="attention heads (mini-gpt, default 4)")] = None
    n_embd: Annotated[Positive | None, Meta(description="width of the embeddings (mini-gpt, default 16)")] = None
    block_size: Annotated[Positive | None, Meta(description="context length in tokens (mini-gpt, default 8)")] = None


class Optimization(Shape, frozen=True, kw_only=True):
    """Optimizer."""

    steps: Annotated[int, Meta(ge=0, description="optimizer steps; 0 reports the untrained model")] = 10000
    batch_size: Annotated[int, Meta(ge=1, description="windows a step (a bigram's window is one pair)")] = 32
    optimizer: Annotated[Optimizer, Meta(description="update rule")] = "adamw"
    lr: Annotated[
        Annotated[float, Meta(gt=0)] | None, Meta(description="peak learning rate (default by model and optimizer)")
    ] = None
    lr_schedule: Annotated[
        Schedule,
        Meta(description="after the plateau: constant, linear, sqrt (1 - sqrt) or cosine warmdown"),
    ] = "linear"
    warmup_steps: Annotated[int, Meta(ge=0, description="steps of linear warmup from 0")] = 0
    warmdown_ratio: Annotated[float, Meta(ge=0, le=1, description="share of the steps, the last, that warm down")] = 0.5
    final_lr_frac: Annotated[float, Meta(ge=0, le=1, description="learning rate at the end, as a share of --lr")] = 0.0
    momentum: Annotated[float, Meta(ge=0, lt=1, description="heavy-ball momentum (sgd)")] = 0.0
    beta1: Annotated[float, Meta(ge=0, lt=1, description="decay of the first moment (adamw)")] = 0.9
    beta2: Annotated[float, Meta(ge=0, lt=1, description="decay of the second moment (adamw)")] = 0.99
    weight_decay: Annotated[float, Meta(ge=0, description="decoupled weight decay (adamw)")] = 0.01
    grad_clip: Annotated[float, Meta(ge=0, description="clip the global gradient norm to this; 0 is off")] = 1.0


class Learning(Optimization, frozen=True, kw_only=True):
    """Device and checks."""

    dtype: Annotated[
        Dtype | None, Meta(description="precision (default: float32 for arrays, float64 for the tape)")
    ] = None
    device: DeviceName = "auto"
    eval_every: Annotated[int, Meta(ge=0, description="validate every so many steps; 0 is only at the end")] = 1000
    memory_guard_ratio: MemoryGuardRatio = 1.5
    memory_guard_window: MemoryGuardWindow = 10


class TrainConfig(Learning, frozen=True, kw_only=True):
    """Train a character model and report validation bits per byte beside simple baselines.

    Examples:
      python -m nanochat_np train --steps 2000
      python -m nanochat_np train --model-kind bigram --data stories --lr 0.03 --json
    """

    model_kind: Annotated[ModelKind, Meta(description="architecture")] = "mini-gpt"
    tie_lm_head: Annotated[bool, Meta(description="use the token embedding as the output head")] = False
    input_rmsnorm: Annotated[bool, Meta(description="normalise the embedding before the first block")] = True
    seed: Annotated[int, Meta(ge=0, description="seed of every random stream")] = 1337
    checkpoint_every: Annotated[
        int, Meta(ge=0, description="save every so many steps; 0 is only at the end (the end is always saved)")
    ] = 2500
    sample_tokens: Annotated[int, Meta(ge=0, description="characters of sample text shown at the end")] = 300
    out: Annotated[Folder | None, Meta(description="folder of the run (default: results/train_MODEL_TIME)")] = None
    resume: Resume = False

    def resolved(self) -> "TrainConfig":
        """Fill the defaults that depend on other flags.

        Raises ConfigError for combinations that make no sense, naming the flags.
        """
        changes = _resolve_precision(self) | _resolve_shape(self, self.model_kind)
        if 0 < self.memory_guard_ratio < 1:
            raise ConfigError(f"--memory-guard-ratio {self.memory_guard_ratio:g}: takes 0 (off), or 1 and more")
        if self.lr is None:
            changes["lr"] = LEARNING_RATES[self.model_kind, self.optimizer]
        return msgspec.structs.replace(self, **changes)


class AblateConfig(Learning, frozen=True, kw_only=True):
    """Compare the four tie/norm variants over model kinds and seeds; CSV, JSONL, summary and a plot.

    Examples:
      python -m nanochat_np ablate --model-kind both
      python -m nanochat_np ablate --seeds 1,2,3,4,5 --steps 500 --out results/five_seeds
    """

    steps: Annotated[int, Meta(ge=0, description="optimizer steps of each run")] = 2000
    eval_every: Annotated[int, Meta(ge=0, description="validate every so many steps; 0 is only at the end")] = 200
    model_kind: Annotated[Literal["bigram", "mini-gpt", "both"], Meta(description="architecture, or both in turn")] = (
        "bigram"
    )
    seeds: Annotated[tuple[Count, ...], Meta(min_length=1, description="seeds, separated by commas")] = (
        1337,
        1338,
        1339,
    )
    jobs: Annotated[int, Meta(ge=1, description="processes that run variants side by side")] = 1
    out: Annotated[Folder, Meta(description="folder of the result files")] = "results"


class SampleConfig(Common, frozen=True, kw_only=True):
    """Write text with a trained model of the character lab, or with a GPT.

    Examples:
      python -m nanochat_np sample --prompt "The " --temperature 0.7
      python -m nanochat_np sample --checkpoint results/my_run --num-samples 3 --top-k 10
    """

    checkpoint: Annotated[
        Folder | None, Meta(description="folder of a run or of a checkpoint (default: the newest run under results/)")
    ] = None
    model_kind: Annotated[
        Literal["bigram", "mini-gpt", "gpt"] | None, Meta(description="refuse a checkpoint of another architecture")
    ] = None
    prompt: Annotated[str, Meta(description="text to continue")] = ""
    truncate_prompt: Annotated[bool, Meta(description="keep the end of a prompt that is too long")] = False
    max_new_tokens: Annotated[int, Meta(ge=0, description="tokens to add: characters, but for a GPT")] = 200
    temperature: Annotated[float, Meta(description="above 0; below 1 is safer, above 1 is wilder")] = 0.8
    top_k: Annotated[int, Meta(ge=0, description="draw among the k likeliest; 0 is all")] = 0
    top_p: Annotated[float, Meta(gt=0, le=1, description="draw among the likeliest that hold this probability")] = 1.0
    greedy: Annotated[bool, Meta(description="always take the likeliest token")] = False
    num_samples: Annotated[int, Meta(ge=1, description="how many texts")] = 1
    seed: Annotated[int, Meta(ge=0, description="seed of the draws")] = 1337
    device: DeviceName = "auto"


# Flags that do nothing under a setting.
_IDLE = {
    ("optimizer", "adamw"): ("momentum",),
    ("optimizer", "sgd"): ("beta1", "beta2", "weight_decay"),
    ("lr_schedule", "constant"): ("warmdown_ratio", "final_lr_frac"),
}


def refuse_idle(config: Optimization, given: frozenset[str]) -> None:
    """Raise ConfigError for a flag, named on the command line, that would do nothing."""
    for (setting, value), names in _IDLE.items():
        idle = [name for name in names if name in given and getattr(config, setting) == value]
        if idle:
            flag, other = (f"--{name.replace('_', '-')}" for name in (idle[0], setting))
            raise ConfigError(f"{flag} does nothing with {other} {value}: leave it out, or choose another {other}")


def _resolve_precision(config: Learning) -> dict[str, object]:
    if config.mode == "scalar":
        if config.device.startswith("cuda"):
            raise ConfigError("--mode scalar runs on the CPU only: use --device cpu, or --mode tensor")
        if config.dtype == "float32":
            raise ConfigError("--mode scalar computes in float64 only: leave --dtype out, or use --mode tensor")
        return {"dtype": "float64", "device": "cpu"}
    return {"dtype": config.dtype or "float32"}


def _resolve_shape(config: Learning, model_kind: str) -> dict[str, object]:
    given = {name: getattr(config, name) for name in MINI_GPT_SHAPE}
    if model_kind == "bigram":
        for name, value in given.items():
            if value is not None:
                raise ConfigError(f"--{name.replace('_', '-')} does not apply to --model-kind bigram: leave it out")
        return {}
    shape = {name: MINI_GPT_SHAPE[name] if value is None else value for name, value in given.items()}
    if shape["n_embd"] % shape["n_head"]:
        raise ConfigError(
            f"--n-embd {shape['n_embd']} is not divisible by --n-head {shape['n_head']}: "
            f"every head takes an equal share of the width"
        )
    return dict(shape)
