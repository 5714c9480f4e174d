"""Checkpoints of karpathy/nanochat: what is written is read, older ones are told apart, and faults are named."""

import json
import os

import msgspec
import numpy as np
import pytest

from nanochat_np.errors import CheckpointError, ConfigError
from nanochat_np.interop import upstream
from nanochat_np.interop.torch_writer import write_torch_file
from tests.interop.models import CLASSIC, CURRENT, assert_same_weights, logits, model


@pytest.fixture(autouse=True)
def _no_disk(monkeypatch):
    monkeypatch.setattr(os, "fsync", lambda descriptor: None)


def save(folder, weights, step=7, **meta):
    """A checkpoint as a training script of upstream leaves it."""
    write_torch_file(folder / f"model_{step:06d}.pt", weights)
    (folder / f"meta_{step:06d}.json").write_text(json.dumps({"step": step, **meta}))


def fields(config, *without):
    names = ("sequence_len", "vocab_size", "n_layer", "n_head", "n_kv_head", "n_embd", "window_pattern")
    return {name: getattr(config, name) for name in names if name not in without}


OLD_FIELDS = fields(CLASSIC, "window_pattern")


@pytest.mark.parametrize("config", [CURRENT, CLASSIC], ids=["current", "classic"])
def test_what_is_written_is_read(tmp_path, config):
    upstream.write(tmp_path, model(config))
    found = upstream.read(tmp_path, None)
    assert (found.config, found.step) == (config, 7)
    assert_same_weights(found.weights, model(config).weights)
    np.testing.assert_array_equal(logits(found), logits(model(config)))


def test_the_meta_is_upstreams(tmp_path):
    upstream.write(tmp_path, msgspec.structs.replace(model(CURRENT), settings={"lr": 1, "total_batch_size": 512}))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["meta_000007.json", "model_000007.pt"]
    assert json.loads((tmp_path / "meta_000007.json").read_text()) == {
        "step": 7,
        "val_bpb": None,
        "model_config": fields(CURRENT),
        "user_config": {"lr": 1, "total_batch_size": 512},
        "max_seq_len": 256,
        "device_batch_size": None,
        "total_batch_size": 512,
        "dataloader_state_dict": None,
        "loop_state": None,
    }
    upstream.write(tmp_path, model(CLASSIC))
    assert json.loads((tmp_path / "meta_000007.json").read_text())["model_config"] == OLD_FIELDS


def test_what_upstream_told_of_the_training_survives(tmp_path):
    loop = {"min_val_bpb": 1.5, "smooth_train_loss": 3.0, "total_training_time": 60.5}
    told = {"val_bpb": 1.25, "user_config": {"depth": 2}, "device_batch_size": 4, "loop_state": loop}
    save(tmp_path, model(CURRENT).weights, model_config=fields(CURRENT), **told)
    found = upstream.read(tmp_path, 7)
    assert found.train_seconds == 60.5
    upstream.write(tmp_path, found)
    again = json.loads((tmp_path / "meta_000007.json").read_text())
    assert {name: again[name] for name in told} == told


def test_a_run_that_was_never_evaluated_has_an_infinite_best(tmp_path):
    meta = {"val_bpb": None, "loop_state": {"min_val_bpb": float("inf"), "total_training_time": 1}}
    save(tmp_path, model(CURRENT).weights, model_config=fields(CURRENT), **meta)
    assert "Infinity" in (tmp_path / "meta_000007.json").read_text()
    assert upstream.read(tmp_path, None).train_seconds == 1


@pytest.mark.parametrize("told", [None, 3, {}, {"total_training_time": float("nan")}, {"total_training_time": 1e999}])
def test_a_time_that_is_none(tmp_path, told):
    save(tmp_path, model(CLASSIC).weights, model_config=OLD_FIELDS, loop_state=told)
    assert upstream.read(tmp_path, None).train_seconds == 0


def test_the_newest_step_or_the_one_asked_for(tmp_path):
    for step in (900, 1000, 2):
        save(tmp_path, model(CLASSIC, step).weights, step, model_config=OLD_FIELDS)
    (tmp_path / "optim_001000_rank0.pt").write_bytes(b"of no use here")
    (tmp_path / "model_999999.pt.tmp").write_bytes(b"")
    assert upstream.read(tmp_path, None).step == 1000
    assert_same_weights(upstream.read(tmp_path, 2).weights, model(CLASSIC, 2).weights)
    with pytest.raises(CheckpointError, match="has no step 3, but 1000, 900, 2"):
        upstream.read(tmp_path, 3)


def test_names_of_a_compiled_model_and_other_types(tmp_path):
    weights = {f"_orig_mod.{name}": value.astype(np.float64) for name, value in model(CURRENT).weights.items()}
    save(tmp_path, weights, model_config=fields(CURRENT))
    assert_same_weights(upstream.read(tmp_path, None).weights, model(CURRENT).weights)


def test_tables_without_padding_get_it(tmp_path):
    whole = model(CLASSIC).weights
    cut = {name: value[: CLASSIC.vocab_size] if len(value) == 320 else value for name, value in whole.items()}
    assert len(cut["lm_head.weight"]) == 271
    save(tmp_path, cut, model_config=OLD_FIELDS)
    found = upstream.read(tmp_path, None)
    assert found.weights["lm_head.weight"].shape == (320, 16)
    np.testing.assert_array_equal(logits(found), logits(model(CLASSIC)))


def test_what_upstream_makes_up_for_older_models(tmp_path):
    weights = {name: value for name, value in model(CURRENT).weights.items() if "_lambdas" not in name}
    save(tmp_path, weights, model_config=fields(CURRENT, "window_pattern"))
    found = upstream.read(tmp_path, None)
    assert found.config == msgspec.structs.replace(CURRENT, window_pattern="L")
    assert found.weights["resid_lambdas"].tolist() == [1, 1]
    assert found.weights["x0_lambdas"].tolist() == [0, 0]


def without(*parts):
    return {name: value for name, value in model(CURRENT).weights.items() if not any(part in name for part in parts)}


def changed(name, value):
    return {**model(CURRENT).weights, name: value}


@pytest.mark.parametrize(
    ("weights", "named"),
    [
        # February 2026: value embeddings, but no smear and no backout; January: lambdas alone.
        (without("smear", "backout"), "lacks smear_lambda, backout_lambda, smear_gate.weight: this program knows"),
        (without("smear", "backout", "value", "ve_gate"), "lacks smear_lambda, backout_lambda, transformer.h.1.attn"),
        (without("value_embeds"), "lacks value_embeds.1.weight: "),
        (model(CLASSIC).weights, "lacks smear_lambda"),  # of other windows than October's
        (changed("lm_head.bias", np.zeros(3)), "has lm_head.bias, which"),
        (changed("value_embeds.0.weight", np.zeros(3)), "has value_embeds.0.weight, which"),
        (changed("smear_lambda", np.zeros(2)), "smear_lambda is float64 (2,), the model_config says (1,)"),
        (changed("smear_lambda", np.zeros(1, np.int32)), "smear_lambda is int32 (1,)"),
        (changed("lm_head.weight", np.zeros((271, 47))), "lm_head.weight is float64 (271, 47)"),
        (changed("transformer.h.1.attn.ve_gate.weight", np.zeros((2, 32))), "ve_gate.weight is float64 (2, 32)"),
    ],
)
def test_tensors_of_another_model_are_named(tmp_path, weights, named):
    save(tmp_path, weights, model_config=fields(CURRENT))
    with pytest.raises(CheckpointError) as caught:
        upstream.read(tmp_path, None)
    assert str(caught.value).startswith(f"{tmp_path / 'model_000007.pt'}: ")
    assert named in str(caught.value)


@pytest.mark.parametrize(
    ("meta", "fault"),
    [
        ("{", "damaged, or says nothing of a model"),
        ("[]", "damaged"),
        ('"x"', "damaged"),
        ("{}", "damaged"),
        ('{"model_config": 3}', "no model_config of nanochat"),
        (json.dumps({"model_config": fields(CURRENT, "n_embd")}), "missing required field `n_embd`"),
        (json.dumps({"model_config": fields(CURRENT) | {"bias": True}}), "unknown field `bias`"),
        (json.dumps({"model_config": fields(CURRENT) | {"n_head": 0}}), "Expected `int` >= 1"),
        (json.dumps({"model_config": fields(CURRENT) | {"n_head": 5}}), "not an even width"),
        (json.dumps({"model_config": fields(CURRENT) | {"n_layer": 10**12}}), "Expected `int` <= 1024"),
        (json.dumps({"model_config": fields(CURRENT) | {"window_pattern": "X"}}), "takes the letters"),
    ],
)
def test_a_meta_that_is_wrong(tmp_path, meta, fault):
    save(tmp_path, model(CURRENT).weights)
    (tmp_path / "meta_000007.json").write_text(meta)
    with pytest.raises(CheckpointError, match=fault) as caught:
        upstream.read(tmp_path, None)
    assert str(caught.value).startswith(f"{tmp_path / 'meta_000007.json'}: ")


def test_folders_that_hold_none_point_to_those_that_do(tmp_path):
    with pytest.raises(CheckpointError, match=r"holds no model_NNNNNN\.pt$"):
        upstream.read(tmp_path, None)
    for name in ("d4", "d12", "other"):
        (tmp_path / name).mkdir()
    for name in ("d4", "d12"):
        (tmp_path / name / "model_000001.pt").write_bytes(b"")
    with pytest.raises(CheckpointError, match=r"give one of its folders d12, d4$"):
        upstream.read(tmp_path, None)
    with pytest.raises(CheckpointError, match=r"cannot read the checkpoint: No such file .*meta_000001\.json"):
        upstream.read(tmp_path / "d4", None)


@pytest.mark.parametrize(
    ("change", "named"),
    [({"norm_eps": 1e-6}, "norm_eps 1.19209e-07 built in, this model 1e-06"), ({"rope_base": 5e4}, "rope_base")],
)
def test_a_model_that_upstream_would_compute_differently_is_refused(tmp_path, change, named):
    other = msgspec.structs.replace(model(CURRENT), config=msgspec.structs.replace(CURRENT, **change))
    with pytest.raises(ConfigError, match=f"--format upstream: nanochat has {named}"):
        upstream.write(tmp_path, other)
    assert not list(tmp_path.iterdir())
