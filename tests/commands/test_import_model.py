"""``import`` as its user meets it, and what ``export`` wrote coming back."""

import json

import msgspec
import numpy as np
import pytest

from nanochat_np.interop import huggingface, upstream
from nanochat_np.interop.huggingface_tokenizer import write_huggingface_tokenizer
from nanochat_np.interop.upstream_tokenizer import write_upstream_tokenizer
from nanochat_np.text import bpe_file
from nanochat_np.text.bpe import BYTES, BpeTokenizer
from nanochat_np.train import checkpoint
from nanochat_np.train.checkpoint import Checkpoint
from nanochat_np.train.locate import locate, newest_run
from nanochat_np.train.meta import GPTMeta
from tests.interop.models import CLASSIC, CURRENT, TOKENIZER, assert_same_weights, logits, model
from tests.train.lab import contents

SMALL = BpeTokenizer(BYTES)
PARAMETERS = sum(value.size for value in model(CURRENT).weights.values())


@pytest.fixture
def base(tmp_path):
    """Upstream's base folder with two checkpoints of a model."""
    for step in (7, 12):
        upstream.write(
            tmp_path / "base" / "base_checkpoints" / "d2", msgspec.structs.replace(model(CURRENT, step), step=step)
        )
    write_upstream_tokenizer(tmp_path / "base" / "tokenizer", TOKENIZER)
    return "base/base_checkpoints/d2"


@pytest.fixture
def folder(tmp_path):
    """A Hugging Face folder."""
    (tmp_path / "hf").mkdir()
    huggingface.write(tmp_path / "hf", CLASSIC, model(CLASSIC).weights, TOKENIZER.bos)
    write_huggingface_tokenizer(tmp_path / "hf", TOKENIZER, CLASSIC.sequence_len)
    return "hf"


def loaded(run):
    return checkpoint.load(locate(run))


def test_the_newest_checkpoint_of_upstream_becomes_a_run(lab, base, tmp_path):
    result = lab("import", base, "--out=results/d2")
    assert result.code == 0, result
    assert f"{PARAMETERS:,} parameters of a current model of step 12, and a tokenizer of 271 tokens" in result.out
    found = loaded(tmp_path / "results" / "d2")
    assert (found.meta.stage, found.meta.step, found.meta.position) == ("import", 12, None)
    assert (found.meta.model, found.meta.tokenizer) == (CURRENT, TOKENIZER.fingerprint)
    assert_same_weights(dict(sorted(found.weights.items())), dict(sorted(model(CURRENT, 12).weights.items())))
    assert bpe_file.load(locate(tmp_path / "results" / "d2") / "bpe.json") == TOKENIZER
    assert newest_run(tmp_path / "results") == tmp_path / "results" / "d2"
    assert {path.name for path in (tmp_path / "results").iterdir()} == {"d2"}


def test_the_summary(lab, base, tmp_path):
    summary = lab("import", base, "--step=7", "--out=d2", "--json").summary
    assert json.loads((tmp_path / "d2" / "summary.json").read_text()) == summary
    assert summary.pop("seconds") >= 0
    assert summary == {
        "command": "import",
        "schema": 1,
        "source": base,
        "format": "upstream",
        "step": 7,
        "params": PARAMETERS,
        "model": msgspec.to_builtins(CURRENT),
        "tokenizer": TOKENIZER.fingerprint,
        "out": "d2",
        "checkpoint": "d2/checkpoints/step_000007",
    }


def test_a_hugging_face_folder_becomes_a_run(lab, folder, tmp_path):
    assert lab("import", folder, "--out=run").code == 0
    found = loaded(tmp_path / "run")
    assert (found.meta.model, found.meta.step) == (CLASSIC, 0)
    again = msgspec.structs.replace(model(CLASSIC), weights=found.weights)
    np.testing.assert_array_equal(logits(again), logits(model(CLASSIC)))


def test_a_tokenizer_of_any_kind_is_named(lab, base, tmp_path):
    bpe_file.save(tmp_path / "mine", TOKENIZER)
    for number, place in enumerate(["mine", "mine/tokenizer.json", "base/tokenizer/tokenizer.pkl", "base/tokenizer"]):
        summary = lab("import", base, f"--out=d{number}", f"--tokenizer={place}", "--json").summary
        assert summary["tokenizer"] == TOKENIZER.fingerprint


@pytest.mark.parametrize(
    ("kind", "config"),
    [("upstream", CURRENT), ("upstream", CLASSIC), ("huggingface", CLASSIC)],
    ids=["upstream-current", "upstream-classic", "huggingface-classic"],
)
def test_what_is_exported_comes_back_exactly(lab, tmp_path, kind, config):
    weights = {name: value.copy() for name, value in model(config).weights.items()}
    for name in ("transformer.wte.weight", "lm_head.weight"):
        weights[name][config.vocab_size :] = 0  # Hugging Face's tables have no padding
    meta = GPTMeta(
        step=7,
        dtype="float32",
        train_seconds=2.0,
        stage="pretrain",
        model=config,
        tokenizer=TOKENIZER.fingerprint,
        position={},
    )
    texts = {bpe_file.NAME: bpe_file.encoded(TOKENIZER)}
    state = {"momentum.4x4": np.ones((1, 4, 4))}
    checkpoint.save(tmp_path / "run" / "checkpoints", Checkpoint(meta=meta, weights=weights, state=state, texts=texts))
    assert lab("export", "--checkpoint=run", f"--format={kind}", "--out=there").code == 0
    source = "there/base_checkpoints/d2" if kind == "upstream" else "there"
    assert lab("import", source, "--out=again").code == 0
    found = loaded(tmp_path / "again")
    assert found.meta.model == config
    assert found.meta.step == (7 if kind == "upstream" else 0)
    assert found.weights.keys() == weights.keys()
    for name, value in weights.items():
        np.testing.assert_array_equal(found.weights[name], value, strict=True)
    assert (found.texts, found.state) == (texts, {})


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        ((), 1, "write import SOURCE --out FOLDER"),
        (("{base}",), 1, "write import SOURCE --out FOLDER"),
        (("{base}", "--out=base"), 1, "--out base: exists already"),
        (("{base}", "--out=base/tokenizer/tokenizer.pkl/x"), 1, "--out base/tokenizer/tokenizer.pkl/x: cannot be"),
        (("{base}", "--out=new", "--step=8"), 4, "has no step 8, but 12, 7"),
        (("{base}", "--out=new", "--format=huggingface"), 4, "holds no tokenizer, which would be bpe.json, "),
        (("{base}", "--out=new", "--format=huggingface", "--tokenizer=base/tokenizer"), 4, "d2/config.json: cannot be"),
        (("{base}", "--out=new", "--tokenizer=none"), 4, "cannot read the tokenizer: No such file"),
        (("{base}", "--out=new", "--tokenizer=hf"), 4, "the model has 271 tokens, its tokenizer 265: name the one"),
        (("base/base_checkpoints", "--out=new"), 4, "holds neither model_NNNNNN.pt nor config.json: give one of its"),
        (("missing", "--out=new"), 4, "missing: holds neither"),
        (("hf", "--out=new", "--step=0"), 1, "--step does nothing with a Hugging Face folder"),
        (("hf", "--out=new"), 4, "the model has 271 tokens, its tokenizer 265"),
        (("alone", "--out=new"), 1, "there is no tokenizer of the model: name it with --tokenizer"),
    ],
)
def test_what_is_wrong_is_told_and_leaves_nothing(lab, base, folder, tmp_path, arguments, code, message):
    write_huggingface_tokenizer(tmp_path / "hf", SMALL, 256)
    (tmp_path / "alone").mkdir()
    (tmp_path / "alone" / "model_000001.pt").write_bytes(b"")
    before = contents(tmp_path)
    assert message in lab("import", *(text.format(base=base) for text in arguments)).error(code)
    assert contents(tmp_path) == before
    assert not (tmp_path / "new").exists()


def test_a_disk_that_fails_leaves_nothing(lab, base, tmp_path, monkeypatch):
    def full(descriptor):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    assert "No space left on device" in lab("import", base, "--out=new/run").error(4)
    assert not list((tmp_path / "new").iterdir())
