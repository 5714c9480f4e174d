"""``export``: a model as the folder of another program."""

import time
from pathlib import Path

import msgspec
import numpy as np

from nanochat_np.backend.new_folder import new_folder, require_new
from nanochat_np.command_line.console import out
from nanochat_np.config import ExportConfig
from nanochat_np.errors import CheckpointError, ConfigError
from nanochat_np.interop import huggingface, upstream
from nanochat_np.interop.huggingface_tokenizer import write_huggingface_tokenizer
from nanochat_np.interop.model import Model
from nanochat_np.interop.upstream_tokenizer import write_upstream_tokenizer
from nanochat_np.nn.gpt_config import GPTConfig
from nanochat_np.text import bpe_file
from nanochat_np.text.bpe import BpeTokenizer
from nanochat_np.train import checkpoint
from nanochat_np.train.interrupts import stop_at_once
from nanochat_np.train.locate import locate, newest_run
from nanochat_np.train.meta import GPTMeta


class Exported(msgspec.Struct, frozen=True, kw_only=True):
    """The folder that was made; ``tokenizer`` is the fingerprint, ``files`` are relative to ``out``."""

    command: str = "export"
    schema: int = 1
    checkpoint: str
    format: str
    step: int
    model: GPTConfig
    tokenizer: str
    files: list[str]
    seconds: float
    out: str


def run(config: ExportConfig, given: frozenset[str]) -> Exported:
    """Check that the other program can express the model, and write it."""
    started = time.perf_counter()
    if config.format is None or config.out is None:
        raise ConfigError("export needs a kind and a folder to make: give --format upstream|huggingface --out FOLDER")
    folder = Path(config.out).expanduser()
    require_new(folder)
    path = locate(Path(config.checkpoint).expanduser() if config.checkpoint else newest_run(Path("results")))
    with stop_at_once():
        meta = checkpoint.read_meta(path)
        if not isinstance(meta, GPTMeta):
            raise CheckpointError(f"{path}: holds a model of the character lab, which no other program knows")
        require_expressible = {"upstream": upstream, "huggingface": huggingface}[config.format].require_expressible
        require_expressible(meta.model)
        found = checkpoint.load(path)
        tokenizer = bpe_file.load(path / bpe_file.NAME)
        model = Model(
            config=meta.model,
            weights={name: np.asarray(value, np.float32) for name, value in found.weights.items()},
            step=meta.step,
            train_seconds=meta.train_seconds,
            settings=meta.settings,
        )
        with new_folder(folder) as made:
            {"upstream": _upstream, "huggingface": _huggingface}[config.format](made, model, tokenizer)
            files = sorted(file.relative_to(made).as_posix() for file in made.rglob("*") if file.is_file())
    out("\n".join(["files", *(f"  {folder / name}" for name in files)]))
    return Exported(
        checkpoint=str(path),
        format=config.format,
        step=meta.step,
        model=meta.model,
        tokenizer=tokenizer.fingerprint,
        files=files,
        seconds=time.perf_counter() - started,
        out=str(folder),
    )


def _upstream(folder: Path, model: Model, tokenizer: BpeTokenizer) -> None:
    """As it lies in upstream's base folder, NANOCHAT_BASE_DIR."""
    upstream.write(folder / "base_checkpoints" / f"d{model.config.n_layer}", model)
    write_upstream_tokenizer(folder / "tokenizer", tokenizer)


def _huggingface(folder: Path, model: Model, tokenizer: BpeTokenizer) -> None:
    huggingface.write(folder, model.config, model.weights, tokenizer.bos)
    write_huggingface_tokenizer(folder, tokenizer, model.config.sequence_len)
