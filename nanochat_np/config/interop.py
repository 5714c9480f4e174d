"""Models from other programs and for them: import, export."""

from typing import Annotated, Literal

from msgspec import Meta

from nanochat_np.config.common import Common, Count, Folder


class ImportConfig(Common, frozen=True, kw_only=True):
    """Make a run of a model of karpathy/nanochat or of a Hugging Face NanoChat folder.

    Examples:
      python -m nanochat_np import ~/.cache/nanochat/base_checkpoints/d12 --out results/d12
      python -m nanochat_np import base_checkpoints/d4 --step 500 --tokenizer tokenizer --out results/d4
      python -m nanochat_np import nanochat-hf --out results/hf
    """

    source: Annotated[
        Folder | None,
        Meta(
            description="folder with model_NNNNNN.pt and meta_NNNNNN.json, or with config.json and model.safetensors",
            extra={"positional": True},
        ),
    ] = None
    out: Annotated[Folder | None, Meta(description="folder of the run that is made")] = None
    tokenizer: Annotated[
        Folder | None,
        Meta(
            description="folder of a tokenizer, or tokenizer.pkl (default: ../../tokenizer of nanochat's folder, "
            "tokenizer.json in Hugging Face's)"
        ),
    ] = None
    step: Annotated[Count | None, Meta(description="step of nanochat's checkpoint (default: the newest)")] = None
    format: Annotated[
        Literal["auto", "upstream", "huggingface"],
        Meta(description="whose folder it is: upstream is nanochat, auto looks which files are there"),
    ] = "auto"


class ExportConfig(Common, frozen=True, kw_only=True):
    """Write a model for karpathy/nanochat or for Hugging Face transformers.

    Examples:
      python -m nanochat_np export --checkpoint results/d4 --format upstream --out ~/.cache/nanochat-d4
      python -m nanochat_np export --checkpoint results/classic --format huggingface --out nanochat-hf
    """

    checkpoint: Annotated[
        Folder | None, Meta(description="folder of a run or of a checkpoint (default: the newest under results)")
    ] = None
    out: Annotated[Folder | None, Meta(description="folder that is made")] = None
    format: Annotated[
        Literal["upstream", "huggingface"] | None,
        Meta(description="upstream is nanochat; huggingface can hold models of the classic architecture only"),
    ] = None
