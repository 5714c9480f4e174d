"""``export`` as its user meets it."""

import json

import msgspec
import numpy as np
import pytest
import safetensors.numpy

from nanochat_np.interop import upstream
from nanochat_np.interop.upstream_tokenizer import open_tokenizer
from nanochat_np.nn.gpt_config import GPTConfig
from nanochat_np.nn.model import architecture, views
from nanochat_np.text import bpe_file
from nanochat_np.train import checkpoint
from nanochat_np.train.checkpoint import Checkpoint
from nanochat_np.train.meta import CharacterMeta, GPTMeta
from tests.interop.models import CLASSIC, CURRENT, TOKENIZER, model
from tests.nn.networks import bigram, parameters
from tests.train.lab import contents


def save(path, config: GPTConfig):
    """A run with one checkpoint of step 7."""
    meta = GPTMeta(
        step=7,
        dtype="float32",
        train_seconds=2.5,
        stage="import",
        model=config,
        tokenizer=TOKENIZER.fingerprint,
        settings={"total_batch_size": 64},
    )
    texts = {bpe_file.NAME: bpe_file.encoded(TOKENIZER)}
    checkpoint.save(path / "checkpoints", Checkpoint(meta=meta, weights=model(config).weights, state={}, texts=texts))


def save_character_model(path):
    config = bigram(tied=True, normed=False)
    meta = CharacterMeta(
        step=1, dtype="float64", train_seconds=0, model=config, style="classic", characters="abcd", dataset_sha256=""
    )
    weights = views(parameters(config), architecture("bigram").shapes(config))
    state = dict.fromkeys(("m", "v"), np.zeros(1))
    checkpoint.save(path / "checkpoints", Checkpoint(meta=meta, weights=weights, state=state))


@pytest.fixture
def export(lab, tmp_path):
    """A call of ``export``, where two runs are."""
    save(tmp_path / "results" / "current", CURRENT)
    save(tmp_path / "classic", CLASSIC)
    return lambda *arguments: lab("export", *arguments)


def test_a_base_folder_of_upstream(export, tmp_path):
    result = export("--format=upstream", "--out=there/base")
    assert result.code == 0, result
    names = [
        "base_checkpoints/d2/meta_000007.json",
        "base_checkpoints/d2/model_000007.pt",
        "tokenizer/token_bytes.pt",
        "tokenizer/tokenizer.pkl",
    ]
    assert sorted(contents(tmp_path / "there")) == [f"base/{name}" for name in names]
    assert result.out.splitlines() == ["files", *(f"  there/base/{name}" for name in names)]
    found = upstream.read(tmp_path / "there" / "base" / "base_checkpoints" / "d2", None)
    assert (found.config, found.settings["total_batch_size"]) == (CURRENT, 64)
    assert open_tokenizer(tmp_path / "there" / "base" / "tokenizer") == TOKENIZER
    sizes = (tmp_path / "there" / "base" / "tokenizer" / "token_bytes.pt").read_bytes()
    assert TOKENIZER.token_bytes().astype("<i4").tobytes() in sizes


def test_a_hugging_face_folder(export, tmp_path):
    (tmp_path / "there").mkdir()  # an empty one is as good as none
    summary = export("--checkpoint=classic", "--format=huggingface", "--out=there", "--json").summary
    assert summary.pop("seconds") >= 0
    assert summary == {
        "command": "export",
        "schema": 1,
        "checkpoint": "classic/checkpoints/step_000007",
        "format": "huggingface",
        "step": 7,
        "model": msgspec.to_builtins(CLASSIC),
        "tokenizer": TOKENIZER.fingerprint,
        "files": sorted(contents(tmp_path / "there")),
        "out": "there",
    }
    assert summary["files"] == [
        *("config.json", "generation_config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json")
    ]
    settings = json.loads((tmp_path / "there" / "config.json").read_text())
    assert (settings["vocab_size"], settings["bos_token_id"]) == (271, TOKENIZER.bos)
    weights = safetensors.numpy.load_file(tmp_path / "there" / "model.safetensors")
    assert weights["lm_head.weight"].shape == (271, 16)


KINDS = (
    "resid_lambdas, x0_lambdas, smear_lambda, backout_lambda, transformer.h.1.attn.ve_gate.weight, smear_gate.weight, "
    "value_embeds.1.weight"
)


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        ((), 1, "give --format upstream|huggingface --out FOLDER"),
        (("--format=upstream",), 1, "--out FOLDER"),
        (("--out=new",), 1, "--format upstream|huggingface"),
        (("--format=torch", "--out=new"), 1, "--format torch: expected huggingface or upstream"),
        (("--format=huggingface", "--out=new"), 1, f"this model's {KINDS} would be lost"),
        (("--format=upstream", "--out=results"), 1, "--out results: exists already"),
        (("--format=upstream", "--out=new", "--checkpoint=missing"), 4, "no checkpoint at missing"),
        (
            ("--format=upstream", "--out=new", "--checkpoint=odd"),
            1,
            "nanochat has rope_base 10000 built in, this model 5",
        ),
        (("--format=upstream", "--out=new", "--checkpoint=lab"), 4, "holds a model of the character lab"),
    ],
)
def test_what_is_wrong_is_told_and_leaves_nothing(export, tmp_path, arguments, code, message):
    save(tmp_path / "odd", msgspec.structs.replace(CLASSIC, rope_base=500.0))
    save_character_model(tmp_path / "lab")
    before = contents(tmp_path)
    assert message in export(*arguments).error(code)
    assert contents(tmp_path) == before


def test_what_cannot_be_expressed_is_refused_before_the_weights_are_read(export, tmp_path):
    (tmp_path / "results" / "current" / "checkpoints" / "step_000007" / "model.safetensors").unlink()
    assert "would be lost" in export("--format=huggingface", "--out=new").error(1)
    assert "No such file" in export("--format=upstream", "--out=new").error(4)


def test_a_damaged_checkpoint_is_not_exported(export, tmp_path):
    path = tmp_path / "classic" / "checkpoints" / "step_000007" / "bpe.json"
    path.write_bytes(path.read_bytes().replace(b"th", b"ht"))
    assert "damaged" in export("--checkpoint=classic", "--format=huggingface", "--out=new").error(4)
    assert not (tmp_path / "new").exists()


def test_a_disk_that_fails_leaves_nothing(export, tmp_path, monkeypatch):
    def full(descriptor):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    for kind in ("huggingface", "upstream"):
        result = export("--checkpoint=classic", f"--format={kind}", "--out=new/there")
        assert "cannot write new/there: No space left on device" in result.error(3)
        assert not list((tmp_path / "new").iterdir())
