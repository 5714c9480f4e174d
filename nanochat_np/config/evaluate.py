"""Evaluation of models: eval."""

from typing import Annotated, Literal

from msgspec import Meta

from nanochat_np.config.common import Common, Count, DeviceName, Folder, Positive, Quantize, spelled_out

# "arc" and "generated" are all of their parts, "all" is all but the generated.
Benchmark = Literal[
    "all",
    "core",
    "arc",
    "arc-easy",
    "arc-challenge",
    "mmlu",
    "gsm8k",
    "humaneval",
    "chatcore",
    "bpb",
    "generated",
    "spelling",
    "counting",
    "arithmetic",
    "identity",
    "unknown",
    "dates",
    "facts",
    "hard-spelling",
    "hard-counting",
]


class EvalData(Common, frozen=True, kw_only=True):
    """Models and data."""

    checkpoint: Annotated[
        tuple[Folder, ...],
        Meta(description="folders of runs or checkpoints, side by side (default: the newest run under results)"),
    ] = ()
    hf: Annotated[Folder | None, Meta(description="a Hugging Face NanoChat folder, besides or in their place")] = None
    benchmarks: Annotated[
        tuple[Benchmark, ...],
        Meta(
            description="core, arc-easy, arc-challenge (arc is both), mmlu, gsm8k, humaneval, chatcore, bpb, or all of "
            "these; generated, which is spelling, counting, arithmetic, identity, unknown, dates, facts, hard-spelling "
            "and hard-counting"
        ),
    ] = ("all",)
    data_dir: Annotated[
        Folder | None,
        Meta(description="folder of the benchmarks' files, see docs/evaluation.md (default: eval in the data cache)"),
    ] = None
    data: Annotated[
        Folder | None, Meta(description="bpb: the text, as pretrain names it (default: what the model was trained on)")
    ] = None
    text_field: Annotated[str, Meta(description="bpb: parquet column or field of JSON objects that has the text")] = (
        "text"
    )
    out: Annotated[Folder | None, Meta(description="folder that is made (default: a new one in results/)")] = None


class EvalConfig(EvalData, frozen=True, kw_only=True):
    """Measure models by benchmarks, with the definitions of karpathy/nanochat, and compare them.

    Examples:
      python -m nanochat_np eval --checkpoint results/d12 --benchmarks core,bpb --max-problems 100
      python -m nanochat_np eval --checkpoint results/base,results/sft --data-dir ~/benchmarks --out results/compared
      python -m nanochat_np eval --checkpoint results/speedrun/sft --benchmarks generated
      python -m nanochat_np eval --hf nanochat-hf --benchmarks arc,mmlu,gsm8k
    """

    max_problems: Annotated[
        int, Meta(ge=-1, description="problems of each task, of each of CORE's too: the first of one order; -1 is all")
    ] = -1
    num_samples: Annotated[Positive, Meta(description="answers a written problem gets, one of which must be right")] = 1
    temperature: Annotated[float, Meta(ge=0, le=2, description="of written answers; 0 takes the likeliest")] = 0.0
    top_k: Annotated[Count, Meta(description="draw from so many of the likeliest tokens; 0 is all")] = 50
    max_new_tokens: Annotated[Positive, Meta(description="tokens of a written answer")] = 512
    batch_size: Annotated[Positive, Meta(description="texts at a time")] = 8
    eval_tokens: Annotated[Positive, Meta(description="bpb: tokens of the text, at most")] = 2**17
    seed: Annotated[Count, Meta(description="seed of the draws")] = 0
    quantize: Quantize = "float32"
    unsafe_code: Annotated[
        bool, Meta(description="humaneval: run code of the model even where nothing keeps it from your files")
    ] = False
    device: DeviceName = "auto"

    def __post_init__(self) -> None:
        spelled_out(self)
