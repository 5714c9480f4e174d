"""The speedrun in small: every part in its folder, nothing done twice."""

import json

import pytest

from nanochat_np.experiments import recipe


@pytest.fixture
def small(monkeypatch):
    """A few steps of a small model."""
    monkeypatch.setattr(recipe, "STEPS", {"pretrain": 4, "midtrain": 3, "sft": 3})
    monkeypatch.setattr(recipe, "CONVERSATIONS", 20)
    for name, value in {"VOCAB_SIZE": 300, "DEPTH": 1, "CONTEXT": 64, "ROWS": 2}.items():
        monkeypatch.setattr(recipe, name, value)


@pytest.mark.slow
def test_all_parts_and_none_twice(lab, small, tmp_path):
    flags = ["--out", str(tmp_path / "run"), "--items=2", "--json", "--device=cpu"]
    summary = lab("speedrun", *flags).summary
    assert list(summary["seconds"]) == ["tokenizer", "pretrain", "midtrain", "sft", "eval"]
    assert list(summary["scores"]) == ["pretrain", "midtrain", "sft"]
    for scores in summary["scores"].values():
        assert {"spelling", "counting", "arithmetic", "identity", "hard-counting", "bpb"} <= set(scores)
        assert scores["bpb"] > 0
    assert json.loads((tmp_path / "run" / "summary.json").read_text()) == summary
    assert "hard-spelling" in (tmp_path / "run" / "eval" / "report.md").read_text()
    page = (tmp_path / "run" / "report.md").read_text()
    assert "| hard-spelling |" in page
    assert "| tokenizer | eval | total |" in page
    assert summary["report"] == str(tmp_path / "run" / "report.html")
    assert "go on with --resume" in lab("speedrun", "--out", str(tmp_path / "run")).error(1)
    # Only what is missing is done again.
    (tmp_path / "run" / "sft" / "summary.json").unlink()
    (tmp_path / "run" / "eval" / "summary.json").unlink()
    again = lab("speedrun", *flags, "--resume").summary
    assert list(again["seconds"]) == ["sft", "eval"]
    assert again["scores"] == summary["scores"]


def test_what_cannot_be_gone_on_with_is_told(lab):
    assert "--resume: name the folder" in lab("speedrun", "--resume").error(1)
