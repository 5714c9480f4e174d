"""``import``: a model of another program as a run of this one."""

import time
from pathlib import Path

import msgspec

from nanochat_np.backend.files import write_synced
from nanochat_np.backend.new_folder import new_folder, require_new
from nanochat_np.command_line.console import out
from nanochat_np.config import ImportConfig
from nanochat_np.errors import CheckpointError, ConfigError
from nanochat_np.interop import huggingface, upstream
from nanochat_np.interop.model import Model
from nanochat_np.interop.upstream_tokenizer import open_tokenizer
from nanochat_np.nn import gpt_config
from nanochat_np.nn.gpt_config import GPTConfig
from nanochat_np.nn.model import parameter_count
from nanochat_np.text import bpe_file
from nanochat_np.text.bpe import BpeTokenizer
from nanochat_np.train import checkpoint
from nanochat_np.train.checkpoint import Checkpoint
from nanochat_np.train.interrupts import stop_at_once
from nanochat_np.train.meta import GPTMeta


class Imported(msgspec.Struct, frozen=True, kw_only=True):
    """The run that was made; ``tokenizer`` is the fingerprint."""

    command: str = "import"
    schema: int = 1
    source: str
    format: str
    step: int
    params: int
    model: GPTConfig
    tokenizer: str
    seconds: float
    out: str
    checkpoint: str


def run(config: ImportConfig, given: frozenset[str]) -> Imported:
    """Read all of it, then write the run: OUT/checkpoints/step_NNNNNN and OUT/summary.json."""
    started = time.perf_counter()
    if config.source is None or config.out is None:
        raise ConfigError("import needs a folder to read and one to make: write import SOURCE --out FOLDER")
    source, folder = Path(config.source).expanduser(), Path(config.out).expanduser()
    require_new(folder)
    kind = _kind(source) if config.format == "auto" else config.format
    if kind == "huggingface" and config.step is not None:
        raise ConfigError("--step does nothing with a Hugging Face folder, which holds one model: leave it out")
    with stop_at_once():
        tokenizer = open_tokenizer(_tokenizer_place(config, source, kind))
        model = upstream.read(source, config.step) if kind == "upstream" else huggingface.read(source)
        if tokenizer.vocab_size != model.config.vocab_size:
            raise CheckpointError(
                f"{source}: the model has {model.config.vocab_size} tokens, its tokenizer {tokenizer.vocab_size}: "
                f"name the one that belongs to it with --tokenizer"
            )
        saved = Path("checkpoints", f"step_{model.step:06d}")
        summary = Imported(
            source=str(source),
            format=kind,
            step=model.step,
            params=parameter_count(gpt_config.shapes(model.config)),
            model=model.config,
            tokenizer=tokenizer.fingerprint,
            seconds=time.perf_counter() - started,
            out=str(folder),
            checkpoint=str(folder / saved),
        )
        with new_folder(folder) as made:
            checkpoint.save(made / saved.parent, _checkpoint(model, tokenizer))
            write_synced(made / "summary.json", msgspec.json.format(msgspec.json.encode(summary)) + b"\n")
    out(
        f"{summary.params:,} parameters of a {model.config.architecture} model of step {model.step}, "
        f"and a tokenizer of {tokenizer.vocab_size:,} tokens\n"
        f"files   {folder}"
    )
    return summary


def _kind(source: Path) -> str:
    if upstream.steps(source):
        return "upstream"
    if (source / "config.json").exists():
        return "huggingface"
    raise CheckpointError(f"{source}: holds neither model_NNNNNN.pt nor config.json{upstream.hint(source)}")


def _tokenizer_place(config: ImportConfig, source: Path, kind: str) -> Path:
    if config.tokenizer is not None:
        return Path(config.tokenizer).expanduser()
    place = upstream.tokenizer_place(source) if kind == "upstream" else source
    if not place.is_dir():
        raise ConfigError(f"{place}: there is no tokenizer of the model: name it with --tokenizer")
    return place


def _checkpoint(model: Model, tokenizer: BpeTokenizer) -> Checkpoint:
    meta = GPTMeta(
        step=model.step,
        dtype="float32",
        train_seconds=model.train_seconds,
        stage="import",
        model=model.config,
        tokenizer=tokenizer.fingerprint,
        settings=model.settings,
    )
    return Checkpoint(meta=meta, weights=model.weights, state={}, texts={bpe_file.NAME: bpe_file.encoded(tokenizer)})
