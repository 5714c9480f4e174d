"""Tools: doctor, bench."""

from typing import Annotated, Literal

from msgspec import Meta

from nanochat_np.config.common import Common, DeviceName, Folder, Positive, Quantize, spelled_out
from nanochat_np.config.lab import Precision
from nanochat_np.config.pretrain import Architecture


class DoctorConfig(Common, frozen=True, kw_only=True):
    """Show devices, BLAS, threads, measured speed and versions, and what to do about what is missing.

    Examples:
      python -m nanochat_np doctor
      python -m nanochat_np doctor --threads 1 --json
      python -m nanochat_np doctor --plan --depth 12
    """

    plan: Annotated[bool, Meta(description="only tell what memory a step of pretrain would take on the CPU")] = False
    depth: Annotated[Positive, Meta(description="--plan: layers of that model")] = 4


class BenchModel(Common, frozen=True, kw_only=True):
    """Model of train and infer."""

    architecture: Annotated[
        Architecture, Meta(description="upstream's of 2026, or the one of October 2025 that Hugging Face has")
    ] = "current"
    n_layer: Annotated[int, Meta(ge=1, description="transformer layers")] = 4
    n_head: Annotated[int, Meta(ge=1, description="attention heads")] = 2
    n_kv_head: Annotated[Positive | None, Meta(description="heads of keys and values (default: n-head)")] = None
    n_embd: Annotated[int, Meta(ge=2, description="width of the model, also of gemm")] = 256
    max_seq_len: Annotated[int, Meta(ge=2, description="tokens of context, also of gemm")] = 512
    vocab_size: Annotated[int, Meta(ge=2, description="tokens of the vocabulary, also of gemm")] = 4096
    window_pattern: Annotated[
        str, Meta(description="how far each layer looks back, repeated: L all, S a quarter of the context; last is L")
    ] = "SSSL"
    dtype: Annotated[Precision, Meta(description="precision; bfloat16 (bf16) is of products, on the CPU")] = "float32"

    def __post_init__(self) -> None:
        spelled_out(self)


class BenchConfig(BenchModel, frozen=True, kw_only=True):
    """Measure speed: the character lab, training steps of the GPT, its inference, or matrix products.

    Examples:
      python -m nanochat_np bench lab --repeats 9 --device auto
      python -m nanochat_np bench train --n-layer 6 --n-head 3 --n-embd 384 --batch-size 4 --vocab-size 32768
      python -m nanochat_np bench infer --prompt-tokens 256 --texts 1,16 --quantize int8
      python -m nanochat_np bench gemm --n-embd 768
    """

    action: Annotated[
        Literal["lab", "train", "infer", "gemm"] | None,
        Meta(description="lab, train, infer or gemm", extra={"positional": True}),
    ] = None
    batch_size: Annotated[int, Meta(ge=1, description="train, gemm: rows of max-seq-len tokens a step")] = 8
    steps: Annotated[int, Meta(ge=1, description="train: timed steps, after two that are not")] = 10
    recompute: Annotated[
        bool, Meta(description="train: keep less for the backward pass and compute it again: less memory, more time")
    ] = False
    prompt_tokens: Annotated[int, Meta(ge=2, description="infer: tokens of the prompt")] = 128
    new_tokens: Annotated[int, Meta(ge=1, description="infer: tokens to write after it")] = 64
    texts: Annotated[
        tuple[Positive, ...], Meta(min_length=1, description="infer: how many texts to write at a time")
    ] = (1, 16)
    temperature: Annotated[float, Meta(ge=0, description="infer: randomness of tokens; 0 takes the likeliest")] = 0.0
    top_k: Annotated[int, Meta(ge=0, description="infer: draw among so many; 0 is all")] = 0
    quantize: Quantize = "float32"
    repeats: Annotated[
        int, Meta(ge=1, description="lab, infer, gemm: timed repeats of each case; the median is reported")
    ] = 5
    device: DeviceName = "cpu"
    out: Annotated[Folder | None, Meta(description="folder of the result (default: a new one in results/)")] = None
