"""Types of flags that the stages of training a GPT share."""

from typing import Annotated, Literal

from msgspec import Meta

Derived = Annotated[int, Meta(ge=-1)]
Sink = Literal["tensorboard", "wandb", "trackio"]
Sinks = Annotated[
    tuple[Sink, ...], Meta(description="where metrics go besides metrics.jsonl: tensorboard, wandb, trackio")
]
RunName = Annotated[str, Meta(description="name of the run at the sinks (default: that of its folder)")]
ConfigFile = Annotated[
    Annotated[str, Meta(min_length=1)] | None,
    Meta(description="TOML file with flags in sections; what the command line says wins"),
]
Seed = Annotated[int, Meta(ge=0, description="seed of every random stream")]
Recompute = Annotated[
    bool, Meta(description="keep less for the backward pass and compute it again: less memory, more time")
]
StageDtype = Annotated[
    Literal["auto", "float32", "float64", "bfloat16", "bf16"],
    Meta(
        description="precision; bfloat16 (bf16) is of products alone; auto: that on a CPU with AVX512-BF16, else "
        "float32"
    ),
]
GradClip = Annotated[float, Meta(ge=0, description="clip the global gradient norm to this; 0 is off")]
WarmupSteps = Annotated[int, Meta(ge=0, description="steps of linear warmup from 0")]
FinalLrFrac = Annotated[float, Meta(ge=0, le=1, description="rate at the end, as a share of its peak")]
EvalEvery = Annotated[int, Meta(ge=-1, description="validate every so many steps; 0 is only at the end")]
SampleEvery = Annotated[int, Meta(ge=-1, description="write samples every so many steps; 0 is only at the end")]
SampleTokens = Annotated[int, Meta(ge=0, description="tokens of a sample; 0 is no samples")]
SaveEvery = Annotated[int, Meta(ge=-1, description="save every so many steps; 0 is only at the end")]
Keep = Annotated[int, Meta(ge=0, description="checkpoints to keep, the newest; 0 is all")]
ResumeFromStep = Annotated[
    int, Meta(ge=-1, description="go on from the checkpoint of this step and remove newer ones; -1 is the newest")
]

EmbeddingLr = Annotated[float, Meta(ge=-1, description="peak rate of the embeddings; -1: the base's peak")]
UnembeddingLr = Annotated[float, Meta(ge=-1, description="peak rate of the output head; -1: the base's peak")]
MatrixLr = Annotated[float, Meta(ge=-1, description="peak rate of the layers' matrices; -1: the base's peak")]
ScalarLr = Annotated[float, Meta(ge=-1, description="peak rate of the lambdas; -1: the base's peak")]
MatrixRule = Annotated[
    Literal["auto", "muon", "adamw"], Meta(description="rule for the layers' matrices; auto: the base's")
]
