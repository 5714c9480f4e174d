"""Hugging Face NanoChat folders: config.json and model.safetensors of the classic architecture.

Their class (transformers, models/nanochat) is nanochat of October 2025: a current model has tensors that it would drop
without a word and then compute something else, so such a model is refused here, naming them.
"""

import re
from pathlib import Path
from typing import Literal

import msgspec
import numpy as np
import safetensors.numpy

from nanochat_np.backend.files import write_synced
from nanochat_np.errors import CheckpointError, ConfigError
from nanochat_np.interop.model import Layers, Model, Size, kinds
from nanochat_np.interop.safetensors_file import read_safetensors
from nanochat_np.nn.gpt_config import SOFTCAP, GPTConfig, shapes

_NAMES = (
    (r"^transformer\.wte\.", "model.embed_tokens."),
    (r"^transformer\.h\.(\d+)\.attn\.c_proj\.", r"model.layers.\1.self_attn.o_proj."),
    (r"^transformer\.h\.(\d+)\.attn\.c_([qkv])\.", r"model.layers.\1.self_attn.\2_proj."),
    (r"^transformer\.h\.(\d+)\.mlp\.c_fc\.", r"model.layers.\1.mlp.fc1."),
    (r"^transformer\.h\.(\d+)\.mlp\.c_proj\.", r"model.layers.\1.mlp.fc2."),
)
_PADDED = ("transformer.wte.weight", "lm_head.weight")


def hf_name(name: str) -> str:
    """Hugging Face's name of a parameter of a classic model."""
    for pattern, replacement in _NAMES:
        name = re.sub(pattern, replacement, name)
    return name


class _Rope(msgspec.Struct):
    rope_theta: float
    rope_type: Literal["default"] = "default"


class _Config(msgspec.Struct):
    """What config.json must say; the rest decides about nothing here."""

    model_type: Literal["nanochat"]
    max_position_embeddings: Size
    vocab_size: Size
    num_hidden_layers: Layers
    num_attention_heads: Size
    hidden_size: Size
    intermediate_size: Size
    rope_parameters: _Rope
    rms_norm_eps: float
    final_logit_softcapping: float
    num_key_value_heads: Size | None = None


def read_config(folder: Path) -> GPTConfig:
    """The settings in a folder's config.json.  Raises CheckpointError for another kind of model."""
    path = folder / "config.json"
    try:
        content = msgspec.json.decode(path.read_bytes(), type=_Config)
        if content.intermediate_size != 4 * content.hidden_size or content.final_logit_softcapping != SOFTCAP:
            raise CheckpointError(f"{path}: only an MLP of four times the width and a softcap of 15 are nanochat's")
        return GPTConfig(
            architecture="classic",
            sequence_len=content.max_position_embeddings,
            vocab_size=content.vocab_size,
            n_layer=content.num_hidden_layers,
            n_head=content.num_attention_heads,
            n_kv_head=content.num_key_value_heads or content.num_attention_heads,
            n_embd=content.hidden_size,
            window_pattern="L",
            rope_base=content.rope_parameters.rope_theta,
            qk_scale=1.0,
            norm_eps=content.rms_norm_eps,
        )
    except (OSError, msgspec.DecodeError, ConfigError) as error:
        raise CheckpointError(f"{path}: cannot be read as nanochat's ({error})") from error


def read(folder: Path) -> Model:
    """The model of a folder.  Raises CheckpointError."""
    config = read_config(folder)
    return Model(config=config, weights=read_weights(folder, config))


def read_weights(folder: Path, config: GPTConfig) -> dict[str, np.ndarray]:
    """The parameters of a folder under upstream's names, float32, vocabulary tables padded with zeros."""
    whole = folder / "model.safetensors"
    found: dict[str, np.ndarray] = {}
    for path in [whole] if whole.exists() else sorted(folder.glob("model-*.safetensors")) or [whole]:
        found |= read_safetensors(path)
    weights = {}
    for name, shape in shapes(config).items():
        value = found.pop(hf_name(name), None)
        real = (config.vocab_size, *shape[1:]) if name in _PADDED else shape
        if value is None or value.shape != real:
            raise CheckpointError(
                f"{whole}: {hf_name(name)} is {value.shape if value is not None else 'missing'}, not {real}"
            )
        weights[name] = np.zeros(shape, np.float32)
        weights[name][: real[0]] = value
    if found:
        raise CheckpointError(f"{whole}: has {kinds(found)}, which is no part of nanochat's model")
    return weights


def require_expressible(config: GPTConfig) -> None:
    """Raises ConfigError for a model that their class would compute differently, naming what it would drop."""
    extra = [name for name in shapes(config) if hf_name(name) == name and name != "lm_head.weight"]
    if config.is_current or config.qk_scale != 1:
        dropped = kinds(extra) or "factor on queries and keys"
        raise ConfigError(f"Hugging Face's NanoChat is the classic architecture: this model's {dropped} would be lost")


def write(folder: Path, config: GPTConfig, weights: dict[str, np.ndarray], bos: int) -> None:
    """Write config.json and model.safetensors.  Raises ConfigError for a model that their class cannot express."""
    require_expressible(config)
    folder.mkdir(parents=True, exist_ok=True)
    cut = {name: value[: config.vocab_size] if name in _PADDED else value for name, value in weights.items()}
    tensors = {hf_name(name): np.ascontiguousarray(value, np.float32) for name, value in cut.items()}
    write_synced(folder / "model.safetensors", safetensors.numpy.save(tensors, metadata={"format": "pt"}))
    content = {
        "architectures": ["NanoChatForCausalLM"],
        "model_type": "nanochat",
        "dtype": "float32",
        "attention_bias": False,
        "attention_dropout": 0.0,
        "vocab_size": config.vocab_size,
        "hidden_size": config.n_embd,
        "intermediate_size": 4 * config.n_embd,
        "num_hidden_layers": config.n_layer,
        "num_attention_heads": config.n_head,
        "num_key_value_heads": config.n_kv_head,
        "max_position_embeddings": config.sequence_len,
        "hidden_act": "relu2",
        "final_logit_softcapping": SOFTCAP,
        "rms_norm_eps": config.norm_eps,
        "rope_parameters": {"rope_type": "default", "rope_theta": config.rope_base},
        "tie_word_embeddings": False,
        "bos_token_id": bos,
        "eos_token_id": bos,
        "pad_token_id": bos,
        "use_cache": True,
    }
    write_synced(folder / "config.json", msgspec.json.format(msgspec.json.encode(content)) + b"\n")
