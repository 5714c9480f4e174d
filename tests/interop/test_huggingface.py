"""Hugging Face folders: what is written is read back, and what their class cannot hold is refused."""

import json

import numpy as np
import pytest
import safetensors.numpy

from nanochat_np.errors import CheckpointError, ConfigError
from nanochat_np.interop import huggingface
from nanochat_np.nn import gpt
from nanochat_np.nn.gpt_config import GPTConfig, initial

CLASSIC = GPTConfig(
    architecture="classic",
    sequence_len=32,
    vocab_size=70,
    n_layer=2,
    n_head=4,
    n_kv_head=2,
    n_embd=32,
    window_pattern="L",
    rope_base=10000.0,
    qk_scale=1.0,
    norm_eps=1e-6,
)


@pytest.fixture
def folder(tmp_path):
    weights = initial(CLASSIC, np.random.default_rng(0))
    huggingface.write(tmp_path, CLASSIC, weights, bos=3)
    return tmp_path


def test_a_model_survives_the_round_trip(folder):
    weights = initial(CLASSIC, np.random.default_rng(0))
    config = huggingface.read_config(folder)
    assert config == CLASSIC
    idx = np.arange(20).reshape(2, 10)
    found = gpt.logits(huggingface.read_weights(folder, config), config, idx)
    np.testing.assert_array_equal(found, gpt.logits(weights, CLASSIC, idx))


def test_names_are_theirs(folder):
    names = safetensors.numpy.load_file(folder / "model.safetensors")
    assert names["model.embed_tokens.weight"].shape == (70, 32)
    assert {n for n in names if ".0." in n} == {
        f"model.layers.0.{part}.weight"
        for part in (
            "self_attn.q_proj",
            "self_attn.k_proj",
            "self_attn.v_proj",
            "self_attn.o_proj",
            "mlp.fc1",
            "mlp.fc2",
        )
    }


def test_a_current_model_is_refused_by_the_names_of_what_would_be_lost(tmp_path):
    config = GPTConfig(sequence_len=32, vocab_size=70, n_layer=2, n_head=2, n_kv_head=2, n_embd=32)
    kinds = "resid_lambdas, x0_lambdas, smear_lambda, backout_lambda, .*ve_gate.weight, smear_gate.weight, value_embeds"
    with pytest.raises(ConfigError, match=kinds):
        huggingface.write(tmp_path / "new", config, initial(config, np.random.default_rng(0)), bos=0)
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"model_type": "llama"}, "llama"),
        ({"intermediate_size": 8192}, "four times"),
        ({"hidden_size": None}, "missing required field `hidden_size`"),
        ({"vocab_size": 71}, "embed_tokens"),
        ({"num_hidden_layers": 1}, "has model.layers.1.mlp.fc1.weight, model.layers.1.self_attn.k_proj"),
        ({"num_attention_heads": 0}, "Expected `int` >= 1"),
        ({"num_attention_heads": 5}, "not an even width"),
        ({"rope_parameters": {"rope_theta": 1e4, "rope_type": "yarn"}}, "Invalid enum value 'yarn'"),
    ],
)
def test_folders_of_other_models_are_refused(folder, change, named):
    path = folder / "config.json"
    content = json.loads(path.read_text()) | change
    path.write_text(json.dumps({name: value for name, value in content.items() if value is not None}))
    with pytest.raises(CheckpointError, match=named):
        huggingface.read_weights(folder, huggingface.read_config(folder))


def raw_safetensors(path, arrays):
    """As the format has it, bfloat16 too: those are given as uint16."""
    header, content = {}, b""
    for name, array in arrays.items():
        offsets = len(content), len(content) + array.nbytes
        kind = {"uint16": "BF16", "float16": "F16", "float32": "F32"}[array.dtype.name]
        header[name] = {"dtype": kind, "shape": array.shape, "data_offsets": offsets}
        content += array.tobytes()
    text = json.dumps(header).encode()
    path.write_bytes(len(text).to_bytes(8, "little") + text + content)


def test_halves_of_numbers_in_several_files_are_read(folder):
    weights = safetensors.numpy.load_file(folder / "model.safetensors")
    (folder / "model.safetensors").unlink()
    names = sorted(weights)
    bits = {name: (value.view(np.uint32) >> 16).astype(np.uint16) for name, value in weights.items()}
    half = {names[0]: weights[names[0]].astype(np.float16)}
    raw_safetensors(folder / "model-00001-of-00002.safetensors", half | {name: bits[name] for name in names[1:5]})
    raw_safetensors(folder / "model-00002-of-00002.safetensors", {name: bits[name] for name in names[5:]})
    expected = {name: (value.astype(np.uint32) << 16).view(np.float32) for name, value in bits.items()} | half
    for name, value in huggingface.read(folder).weights.items():
        theirs = expected[huggingface.hf_name(name)]
        np.testing.assert_array_equal(value[: len(theirs)], theirs.astype(np.float32), strict=True)


@pytest.mark.parametrize("content", [b"", b"x" * 30, b"\x02" + bytes(7) + b"{}extra"])
def test_weights_that_are_damaged(folder, content):
    (folder / "model.safetensors").write_bytes(content)
    with pytest.raises(CheckpointError, match=r"model\.safetensors: cannot be read"):
        huggingface.read(folder)


def test_missing_files_are_named(tmp_path):
    with pytest.raises(CheckpointError, match=r"config\.json"):
        huggingface.read_config(tmp_path)
