"""Checkpoints of karpathy/nanochat: model_NNNNNN.pt and meta_NNNNNN.json in a folder for each model.

The names of the tensors decide about the architecture: what has all of 92d63d4's is "current", what has none but those
of October 2025 is "classic".  Between January and March 2026 the model changed week by week, and its checkpoints can be
read neither by upstream's code of today nor here.
"""

import json
import re
from pathlib import Path
from typing import Annotated, Any

import msgspec
import numpy as np

from nanochat_np.backend.files import told_as, write_synced
from nanochat_np.errors import CheckpointError, ConfigError
from nanochat_np.interop.model import Layers, Model, Size, kinds
from nanochat_np.interop.torch_file import read_torch_file
from nanochat_np.interop.torch_writer import write_torch_file
from nanochat_np.nn.gpt_config import FLOAT32_EPS, GPTConfig, shapes

# Numbers that stand in upstream's code, by architecture.
_BUILT_IN: dict[str, dict[str, Any]] = {
    "current": {"rope_base": 100000.0, "qk_scale": 1.2, "norm_eps": FLOAT32_EPS},
    "classic": {"rope_base": 10000.0, "qk_scale": 1.0, "norm_eps": FLOAT32_EPS},
}
_TABLES = ("transformer.wte.weight", "lm_head.weight")
# What meta.json says of the training, besides the flags: from an import it goes back into an export.
_TOLD = ("val_bpb", "device_batch_size", "total_batch_size", "dataloader_state_dict", "loop_state")

_KNOWN = "October 2025 to 10 January 2026 (classic) and since 14 March 2026 (current) only"


class _ModelConfig(msgspec.Struct, forbid_unknown_fields=True):
    sequence_len: Size
    vocab_size: Size
    n_layer: Layers
    n_head: Size
    n_kv_head: Size
    n_embd: Size
    window_pattern: str = "L"  # models older than windows saw everything


class _LoopState(msgspec.Struct):
    total_training_time: Annotated[float, msgspec.Meta(ge=0, le=1e12)]


def steps(folder: Path) -> list[int]:
    """The steps of the checkpoints in a folder, the newest first."""
    found = (re.fullmatch(r"model_(\d+)\.pt", path.name) for path in folder.glob("model_*.pt"))
    return sorted((int(match[1]) for match in found if match), reverse=True)


def tokenizer_place(folder: Path) -> Path:
    """Where upstream keeps the tokenizer of a checkpoint folder: it has one for all models."""
    return folder.resolve().parent.parent / "tokenizer"


def read(folder: Path, step: int | None) -> Model:
    """The checkpoint of that step, or the newest.  Raises CheckpointError that names the file and what is wrong."""
    known = steps(folder)
    if not known:
        raise CheckpointError(f"{folder}: holds no model_NNNNNN.pt{hint(folder)}")
    if step is not None and step not in known:
        raise CheckpointError(f"{folder}: has no step {step}, but {', '.join(map(str, known))}")
    step = known[0] if step is None else step
    path, meta_path = folder / f"model_{step:06d}.pt", folder / f"meta_{step:06d}.json"
    content, meta = _read_meta(meta_path)
    tensors = {name.removeprefix("_orig_mod."): value for name, value in read_torch_file(path).items()}
    config = _config(content, tensors, meta_path)
    return Model(
        config=config,
        weights=_weights(tensors, config, path),
        step=step,
        train_seconds=_seconds(meta.get("loop_state")),
        settings=meta,
    )


def hint(folder: Path) -> str:
    """The end of a message: which folders below hold what this one does not."""
    below = sorted(path.name for path in folder.glob("*/") if steps(path))
    return f": give one of its folders {', '.join(below)}" if below else ""


def _read_meta(path: Path) -> tuple[Any, dict[str, Any]]:
    """What meta.json says of the model, and the rest of it."""
    with told_as(CheckpointError, "cannot read the checkpoint"):
        content = path.read_bytes()
    try:
        meta: dict[str, Any] = json.loads(content)  # upstream's may have Infinity, which is no JSON
        return meta.pop("model_config"), meta
    except (ValueError, TypeError, AttributeError, KeyError) as error:
        raise CheckpointError(f"{path}: damaged, or says nothing of a model ({error})") from error


def _seconds(loop_state: Any) -> float:
    try:
        return msgspec.convert(loop_state, _LoopState).total_training_time
    except msgspec.ValidationError:  # a stage after pretraining keeps none
        return 0.0


def _config(content: Any, tensors: dict[str, np.ndarray], path: Path) -> GPTConfig:
    """The settings.  ``tensors`` gets those that upstream makes up for older models."""
    try:
        fields = msgspec.structs.asdict(msgspec.convert(content, _ModelConfig))
        classic = GPTConfig(architecture="classic", **fields, **_BUILT_IN["classic"])
        if tensors.keys() == shapes(classic).keys() and set(classic.window_pattern.upper()) == {"L"}:
            return classic
        tensors.setdefault("resid_lambdas", np.ones(classic.n_layer, np.float32))
        tensors.setdefault("x0_lambdas", np.zeros(classic.n_layer, np.float32))
        return GPTConfig(**fields, **_BUILT_IN["current"])
    except (msgspec.ValidationError, ConfigError) as error:
        raise CheckpointError(f"{path}: no model_config of nanochat ({error})") from error


def _weights(tensors: dict[str, np.ndarray], config: GPTConfig, path: Path) -> dict[str, np.ndarray]:
    """The tensors in the shapes of the settings; tables of an unpadded vocabulary get rows of zeros."""
    expected = shapes(config)
    if missing := [name for name in expected if name not in tensors]:
        raise CheckpointError(f"{path}: lacks {kinds(missing)}: this program knows nanochat of {_KNOWN}")
    if strange := sorted(tensors.keys() - expected.keys()):
        raise CheckpointError(f"{path}: has {kinds(strange)}, which the model_config says nothing of")
    weights = {}
    for name, shape in expected.items():
        value = tensors[name]
        if name in _TABLES and value.shape == (config.vocab_size, config.n_embd):
            value = np.pad(value, ((0, shape[0] - len(value)), (0, 0)))
        if value.shape != shape or value.dtype.kind != "f":
            raise CheckpointError(f"{path}: {name} is {value.dtype} {value.shape}, the model_config says {shape}")
        weights[name] = value.astype(np.float32, copy=False)
    return weights


def require_expressible(config: GPTConfig) -> None:
    """Raises ConfigError for a model that upstream's code would compute differently."""
    for name, value in _BUILT_IN[config.architecture].items():
        if getattr(config, name) != value:
            raise ConfigError(
                f"--format upstream: nanochat has {name} {value:g} built in, this model {getattr(config, name):g}"
            )


def write(folder: Path, model: Model) -> None:
    """Write model_NNNNNN.pt and meta_NNNNNN.json.  Raises ConfigError for a model that upstream cannot express."""
    require_expressible(model.config)
    fields = {name: getattr(model.config, name) for name in _ModelConfig.__struct_fields__}
    if not model.config.is_current:
        del fields["window_pattern"]  # its code does not know of it
    told = dict.fromkeys(_TOLD) | {name: model.settings[name] for name in _TOLD if name in model.settings}
    meta = {
        "step": model.step,
        "model_config": fields,
        "user_config": model.settings.get("user_config", model.settings),
        "max_seq_len": model.config.sequence_len,
        **told,
    }
    folder.mkdir(parents=True, exist_ok=True)
    weights = {name: np.asarray(model.weights[name], np.float32) for name in shapes(model.config)}
    write_torch_file(folder / f"model_{model.step:06d}.pt", weights)
    write_synced(folder / f"meta_{model.step:06d}.json", json.dumps(meta, indent=2).encode() + b"\n")
