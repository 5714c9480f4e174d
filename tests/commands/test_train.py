"""``train`` as its user meets it."""

import csv
import json
import math
from pathlib import Path

import numpy as np
import pytest

from nanochat_np.train import run as train_run
from nanochat_np.train.checkpoint import load
from nanochat_np.train.env_record import env_record
from tests.train.lab import BIGRAM, FUSED, TINY_GPT, contents, events, final_bytes, losses

KEYS = {
    "command",
    "mode",
    "model_kind",
    "style",
    "device",
    "backend",
    "using_gpu",
    "dtype",
    "params",
    "steps",
    "seed",
    "train_loss",
    "mean_loss_last_n",
    "last_n",
    "val_loss",
    "val_bpb",
    "baselines",
    "steps_per_sec",
    "tokens_per_sec",
    "train_seconds",
    "wall_seconds",
    "vocab_size",
    "train_tokens",
    "out",
    "checkpoint",
}
KINDS = {"bigram": BIGRAM, "mini-gpt": TINY_GPT, "fused": FUSED}
MODES = {"tensor": (), "scalar": ("--mode=scalar",)}


def test_the_summary(lab):
    result = lab.train(*TINY_GPT, "--steps=60", "--out=run", "--json", "--sample-tokens=25", "--tie-lm-head")
    assert result.code == 0
    assert result.out.count("\n") == 1
    summary = result.summary
    assert summary.keys() >= KEYS
    assert json.loads(Path("run/summary.json").read_text()) == summary
    facts = ("command", "mode", "model_kind", "style", "device", "backend", "using_gpu", "dtype", "steps", "seed")
    assert [summary[name] for name in facts] == [
        "train",
        "tensor",
        "mini-gpt",
        "classic",
        "cpu",
        "numpy",
        False,
        "float32",
        60,
        1337,
    ]
    assert summary["vocab_size"] == 51
    assert summary["params"] == 51 * 4 + 4 * 4 + 4 * 16 + 2 * 4 * 16
    seen = losses(Path("run"))
    assert (summary["train_loss"], summary["last_n"]) == (seen[-1], 50)
    assert summary["mean_loss_last_n"] == pytest.approx(sum(seen[-50:]) / 50)
    assert summary["val_loss"] == events(Path("run"), "eval")[-1]["val_loss"]
    assert summary["baselines"]["uniform"] == pytest.approx(math.log(51))
    assert summary["baselines"].keys() == {"uniform", "unigram", "bigram"}
    assert summary["tokens_per_sec"] == pytest.approx(summary["steps_per_sec"] * 32 * 4)
    assert summary["steps_per_sec"] == pytest.approx(60 / summary["train_seconds"])
    assert 0 < summary["train_seconds"] < summary["wall_seconds"]
    assert len(summary["sample"]) == 25
    assert summary["checkpoint"] == "run/checkpoints/step_000060"
    assert load(Path(summary["checkpoint"])).meta.step == 60


def test_the_files_of_a_run(lab, monkeypatch):
    monkeypatch.setattr(train_run, "env_record", env_record)
    run = lab.trained(*TINY_GPT, "--steps=3", "--out=run")
    assert {path.name for path in run.iterdir()} == {
        ".lock",
        "checkpoints",
        "config.json",
        "env.json",
        "metrics.jsonl",
        "summary.json",
    }
    config = json.loads((run / "config.json").read_text())
    assert config["schema"] == 1
    assert config["config"]["steps"] == 3
    assert (config["config"]["n_embd"], config["config"]["n_layer"], config["config"]["lr"]) == (4, 1, 0.01)
    environment = json.loads((run / "env.json").read_text())
    assert environment["numpy"] == np.__version__
    assert environment["dataset_sha256"] == load(run / "checkpoints/step_000003").meta.dataset_sha256


def test_what_a_person_reads(lab):
    result = lab("train", "--data=stories:4000", *TINY_GPT, "--steps=3", "--sample-tokens=9", "--out=run")
    assert result.code == 0
    assert "mini-gpt on stories:4000:" in result.out
    for row in ("uniform", "unigram counts", "bigram counts", "this mini-gpt", "  | "):
        assert f"\n{row}" in result.out
    assert "sample --checkpoint run" in result.out
    notes = result.err.splitlines()
    assert sum(note.startswith(("step 0: validation loss", "step 3: validation loss")) for note in notes) == 2
    assert notes[-1].startswith("step 3: ")
    assert lab.train(*TINY_GPT, "--steps=1", "--quiet").err == ""


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("kind", KINDS)
def test_no_steps(lab, mode, kind):
    summary = lab.train(*MODES[mode], *KINDS[kind], "--steps=0", "--out=run", "--json").summary
    assert summary["val_loss"] == pytest.approx(math.log(51), abs=0.1)
    assert summary["train_loss"] == summary["mean_loss_last_n"] == pytest.approx(math.log(51), abs=0.1)
    assert (summary["last_n"], summary["steps_per_sec"], summary["tokens_per_sec"]) == (1, 0, 0)
    assert summary["checkpoint"] == "run/checkpoints/step_000000"
    assert [event["event"] for event in events(Path("run"))] == ["checkpoint", "eval"]


@pytest.mark.parametrize(
    ("flags", "evaluations", "checkpoints"),
    [
        (("--eval-every=0", "--checkpoint-every=0"), [7], [7]),
        (("--eval-every=3", "--checkpoint-every=0"), [0, 3, 6, 7], [7]),
        (("--eval-every=7", "--checkpoint-every=7"), [0, 7], [7]),
        (("--eval-every=100", "--checkpoint-every=3"), [0, 7], [3, 6, 7]),
        (("--eval-every=1", "--checkpoint-every=1"), [*range(8)], [*range(1, 8)]),
    ],
)
def test_when_it_validates_and_saves(lab, flags, evaluations, checkpoints):
    run = lab.trained(*TINY_GPT, "--steps=7", *flags, "--out=run")
    assert [event["step"] for event in events(run, "eval")] == evaluations
    assert [event["step"] for event in events(run, "checkpoint")] == checkpoints
    names = sorted(path.name for path in run.glob("checkpoints/step_*"))
    assert names == [f"step_{step:06}" for step in checkpoints]
    assert (run / "checkpoints/latest").read_text() == names[-1] + "\n"


def test_every_step_is_in_the_metrics(lab):
    run = lab.trained(*TINY_GPT, "--steps=9", "--lr=0.1", "--warmup-steps=2", "--dtype=float64", "--out=run")
    steps = events(run, "step")
    assert [event["step"] for event in steps] == list(range(1, 10))
    assert all(list(event) == ["event", "step", "loss", "grad_norm", "lr"] for event in steps)
    assert [event["lr"] for event in steps] == pytest.approx([0.05, 0.1, 0.1, 0.1, 0.1, 0.08, 0.06, 0.04, 0.02])
    assert all(len(repr(event["loss"])) > 12 for event in steps)  # unrounded


@pytest.mark.parametrize("kind", ["bigram", "mini-gpt"])
@pytest.mark.parametrize("optimizer", ["adamw", "sgd"])
def test_both_modes_take_the_same_steps(lab, kind, optimizer):
    flags = (*KINDS[kind], f"--optimizer={optimizer}", "--batch-size=5", "--steps=20", "--json")
    summaries = [
        lab.train(*flags, "--mode=scalar", "--out=scalar").summary,
        lab.train(*flags, "--dtype=float64", "--out=tensor").summary,
    ]
    one, other = losses(Path("scalar")), losses(Path("tensor"))
    assert len(one) == 20
    assert max(abs(a - b) for a, b in zip(one, other, strict=True)) < 1e-9
    assert one[0] - one[-1] > 0.001  # it learns
    assert summaries[0]["val_loss"] == pytest.approx(summaries[1]["val_loss"], abs=1e-9)


@pytest.mark.parametrize("flags", [(*TINY_GPT, "--mode=scalar"), FUSED], ids=["scalar", "fused"])
def test_a_seed_decides_everything(lab, flags):
    flags = (*flags, "--steps=12", "--sample-tokens=20", "--json")
    one, two, other = (
        lab.train(*flags, f"--seed={seed}", f"--out={out}").summary
        for seed, out in ((5, "one"), (5, "two"), (6, "other"))
    )
    assert final_bytes(Path("one")) == final_bytes(Path("two")) != final_bytes(Path("other"))
    assert (one["sample"], one["val_loss"]) == (two["sample"], two["val_loss"])
    assert one["sample"] != other["sample"]
    assert events(Path("one")) == events(Path("two"))


def test_it_learns(lab):
    """Far below what counting single characters reaches, and near the counts of pairs."""
    for flags in (BIGRAM, ("--lr=0.02",)):
        summary = lab.train(*flags, "--steps=150", "--json").summary
        assert summary["val_loss"] < summary["baselines"]["unigram"] - 0.4
        assert summary["val_loss"] < summary["baselines"]["bigram"] + 0.2


def test_futuristic_style(lab):
    classic, futuristic = (
        lab.train(*TINY_GPT, "--steps=1", f"--style={style}", "--json").summary for style in ("classic", "futuristic")
    )
    assert futuristic["style"] == "futuristic"
    assert futuristic["train_tokens"] > classic["train_tokens"]
    assert futuristic["val_tokens"] == classic["val_tokens"]


BAD_DATA = {
    "missing.txt": (None, "no such file"),
    "empty.txt": (b"", "is empty"),
    "folder": ("folder", "no text in this folder"),
    "one.txt": (b"aaaaaaaaaaaaaaaaaaaaaaaaaaaa", "only the character 'a'"),
    "latin.txt": ("the caf\u00e9\n".encode("latin-1") * 40, "not UTF-8 at byte offset 7"),
    "nul.txt": (b"abc\0def" * 40, "NUL at byte offset 3"),
    "short.txt": (b"abcdefgh" * 2, "training needs 100 tokens"),
    "tiny.txt": (b"ab", "tokens"),
    "/dev/null": (None, "/dev/null"),
    "stories:0": (None, "--data stories:0"),
}


@pytest.mark.parametrize("name", BAD_DATA)
def test_data_that_cannot_be_used(lab, name):
    content, words = BAD_DATA[name]
    if content == "folder":
        Path(name).mkdir()
    elif content is not None:
        Path(name).write_bytes(content)
    before = contents(Path())
    for out in (("--out=run",), ()):
        message = lab.train("--steps=3", "--block-size=99", *out, data=name).error(1 if name == "stories:0" else 2)
        assert words in message
    assert contents(Path()) == before
    assert not Path("run").exists()
    assert not Path("results").exists()


REFUSED = {
    "scalar on a GPU": (("--mode=scalar", "--device=cuda"), "--mode scalar runs on the CPU only"),
    "scalar float32": (("--mode=scalar", "--dtype=float32"), "float64 only"),
    "shape of a bigram": ((*BIGRAM, "--n-embd=8"), "--n-embd does not apply to --model-kind bigram"),
    "window of a bigram": ((*BIGRAM, "--block-size=8"), "--block-size does not apply"),
    "heads": (("--n-embd=10", "--n-head=4"), "--n-embd 10 is not divisible by --n-head 4"),
    "momentum of adamw": (("--momentum=0.9",), "--momentum does nothing with --optimizer adamw"),
    "beta1 of sgd": (("--optimizer=sgd", "--beta1=0.9"), "--beta1 does nothing with --optimizer sgd"),
    "beta2 of sgd": (("--optimizer=sgd", "--beta2=0.9"), "--beta2 does nothing"),
    "decay of sgd": (("--optimizer=sgd", "--weight-decay=0.1"), "--weight-decay does nothing"),
    "warmdown of constant": (("--lr-schedule=constant", "--warmdown-ratio=0.1"), "--warmdown-ratio does nothing"),
    "end of constant": (("--lr-schedule=constant", "--final-lr-frac=0.1"), "--final-lr-frac does nothing"),
    "negative steps": (("--steps=-1",), "--steps -1"),
    "no learning rate": (("--lr=0",), "--lr 0"),
    "no folder": (("--out=",), "--out ''"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_flags_that_make_no_sense(lab, case):
    flags, words = REFUSED[case]
    assert words in lab.train(*flags).error(1)
    assert list(Path().iterdir()) == []


@pytest.mark.parametrize(
    "flags",
    [
        ("--momentum=0.9", "--optimizer=sgd"),
        ("--beta1=0.8", "--beta2=0.9", "--weight-decay=0"),
        ("--warmdown-ratio=0.2", "--final-lr-frac=0.1"),
    ],
)
def test_flags_that_make_sense(lab, flags):
    assert lab.train(*TINY_GPT, "--steps=2", *flags).code == 0


def test_a_run_that_is_there_already(lab):
    run = lab.trained(*TINY_GPT, "--steps=2", "--out=run")
    before = contents(run)
    assert "--out run: holds a run already" in lab.train(*TINY_GPT, "--steps=5", "--out=run").error(1)
    assert contents(run) == before


def test_what_fails_while_computing(lab, monkeypatch):
    monkeypatch.setattr(train_run, "baselines", lambda *a: csv.reader(1))
    assert "internal: TypeError" in lab.train(*TINY_GPT, "--steps=2", "--out=run").error(3)
    assert load(Path("run/checkpoints/step_000002")).meta.step == 2


def test_a_guard_that_would_stop_at_once_is_refused(lab):
    assert "--memory-guard-ratio 0.5" in lab.train("--memory-guard-ratio=0.5").error(1)


def test_a_home_folder_is_the_users(lab, monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    lab.train(*TINY_GPT, "--steps=1", "--out=~/run")
    assert (tmp_path / "home" / "run" / "summary.json").exists()


def test_baselines_are_on_the_tokens_that_were_validated(lab):
    some, every = (lab.train(*TINY_GPT, "--steps=1", "--json", *flags).summary for flags in (("--val-tokens=60",), ()))
    assert some["val_tokens"] == 60
    assert some["baselines"]["uniform"] == every["baselines"]["uniform"]
    assert some["baselines"]["bigram"] != every["baselines"]["bigram"]


def test_the_tape_without_numba(lab, monkeypatch):
    monkeypatch.setattr("nanochat_np.kernels.can_compile", lambda: False)
    assert "--mode scalar needs Numba" in lab.train(*TINY_GPT, "--mode=scalar").error(1)
