"""``sample`` as its user meets it."""

import os
from pathlib import Path

import pytest

from nanochat_np.commands import sample
from tests.train.lab import FUSED, TINY_GPT, contents, flip


@pytest.fixture
def run(lab):
    """A run of the tiny model; its window is 4, so that prompts have up to 3 characters."""
    return lab.trained(*TINY_GPT, "--steps=20", "--checkpoint-every=10", "--out=results/run")


def texts(lab, *flags):
    result = lab("sample", "--json", *flags)
    assert result.code == 0, result
    return result.summary["texts"]


def test_text_of_any_length(lab, run):
    for count in (0, 1, 3, 4, 5, 57):
        (text,) = texts(lab, "--prompt=The", f"--max-new-tokens={count}")
        assert len(text) == 3 + count
        assert text.startswith("The")
    (long,) = texts(lab, "--prompt=The", "--max-new-tokens=57")
    assert long.startswith(texts(lab, "--prompt=The", "--max-new-tokens=20")[0])  # the same draws


def test_what_a_person_reads(lab, run):
    short = "--max-new-tokens=30"
    (one,), three = texts(lab, short), texts(lab, short, "--num-samples=3")
    assert lab("sample", short).out == one + "\n"
    assert lab("sample", short, "--num-samples=3").out == "\n--------\n".join(three) + "\n"
    assert len(lab("sample").out) == 200 + 1
    assert three[0] == one
    assert len(set(three)) == 3


def test_the_summary(lab, run):
    flags = ("--prompt=She", "--max-new-tokens=9", "--seed=4", "--top-k=5", "--top-p=0.9", "--temperature=0.5")
    summary = lab("sample", "--json", *flags).summary
    text = summary.pop("texts")[0]
    assert len(text) == 12
    assert summary == {
        "command": "sample",
        "schema": 1,
        "checkpoint": "results/run/checkpoints/step_000020",
        "model_kind": "mini-gpt",
        "step": 20,
        "device": "cpu",
        "prompt": "She",
        "temperature": 0.5,
        "top_k": 5,
        "top_p": 0.9,
        "greedy": False,
        "seed": 4,
        "new_tokens": 9,
    }
    assert lab("sample", "--json", "--greedy").summary["temperature"] is None


def test_seeds_and_greed(lab, run):
    short = "--max-new-tokens=40"
    assert texts(lab, short, "--seed=1") == texts(lab, short, "--seed=1") != texts(lab, short, "--seed=2")
    greedy = texts(lab, short, "--greedy", "--num-samples=2")
    assert greedy[0] == greedy[1]
    for same in ("--greedy --seed=9", "--top-k=1", "--temperature=1e-9", "--temperature=1e-300"):
        assert texts(lab, short, *same.split()) == greedy[:1]


def test_temperatures(lab, run):
    cold, hot = (texts(lab, f"--temperature={t}")[0] for t in ("0.1", "100"))
    assert len(set(cold)) < 20 < 40 < len(set(hot))
    for wrong in ("0", "-1", "nan", "inf", "-inf", "-0.0"):
        result = lab("sample", "--json", f"--temperature={wrong}")
        assert result.code == 1
        error = result.summary["error"]
        assert error["type"] == "InvalidTemperature"
        assert "--temperature must be a finite number above 0, got" in error["message"]
    assert "--temperature" in lab("sample", "--temperature", "-1").error(1)


def test_the_sample_of_training_is_that_of_sampling(lab):
    shown = lab.train(*TINY_GPT, "--steps=20", "--sample-tokens=50", "--out=run", "--json").summary["sample"]
    assert texts(lab, "--checkpoint=run", "--max-new-tokens=50") == [shown]


def test_prompts(lab, run):
    message = lab("sample", "--prompt=Once").error(1)
    assert "--prompt has 4 tokens, this model takes at most 3" in message
    (text,) = texts(lab, "--prompt=Once upon a", "--truncate-prompt", "--max-new-tokens=7")
    assert text.startswith("Once upon a")
    assert len(text) == 18
    assert text[11:] == texts(lab, "--prompt=n a", "--max-new-tokens=7")[0][3:]
    assert "unknown character 'é' (U+00E9) at position 1" in lab("sample", "--prompt=hé").error(2)
    assert lab("sample", "--prompt=hé", "--max-new-tokens=5").out == ""
    lab.trained(*FUSED, "--steps=5", "--out=bigram")
    assert texts(lab, "--checkpoint=bigram", "--prompt=Once upon", "--max-new-tokens=4")[0].startswith("Once upon")


def test_which_checkpoint(lab, run):
    def chosen(*flags):
        return lab("sample", "--json", "--max-new-tokens=1", *flags).summary["checkpoint"]

    folder = run / "checkpoints"
    for path in (run, folder, folder / "step_000020"):
        assert chosen(f"--checkpoint={path}") == chosen() == str(folder / "step_000020")
    assert chosen(f"--checkpoint={folder}/step_000010") == str(folder / "step_000010")
    older = lab.trained(*FUSED, "--steps=1", "--out=results/other")
    os.utime(older / "checkpoints", (1, 1))
    assert chosen() == str(folder / "step_000020")
    os.utime(older / "checkpoints")
    assert chosen() == str(older / "checkpoints/step_000001")


def test_a_mark_of_the_latest_that_is_wrong(lab, run):
    latest = run / "checkpoints/latest"
    for content in (b"step_999999\n", b"\xff\xff", b"", b"../../elsewhere"):
        latest.write_bytes(content)
        assert lab("sample", "--json", "--max-new-tokens=1").summary["step"] == 20
    latest.unlink()
    assert lab("sample", "--json", "--max-new-tokens=1").summary["step"] == 20


def test_checkpoints_that_cannot_be_used(lab, run):
    assert "holds a mini-gpt, not the bigram asked for" in lab("sample", "--model-kind=bigram").error(4)
    assert lab("sample", "--model-kind=mini-gpt", "--max-new-tokens=1").code == 0
    assert "--checkpoint ''" in lab("sample", "--checkpoint=").error(1)
    for path in ("nowhere", "/dev/null/x", "x" * 300):
        assert path in lab("sample", f"--checkpoint={path}").error(4)
    Path("empty").mkdir()
    assert "no checkpoint in empty" in lab("sample", "--checkpoint=empty").error(4)
    for name in ("model.safetensors", "state.safetensors", "meta.json"):
        path = run / "checkpoints/step_000020" / name
        flip(path, 200)
        assert f"{path}: damaged" in lab("sample").error(4)
        flip(path, 200)
        path.rename("away")
        assert str(path) in lab("sample").error(4)
        Path("away").rename(path)
    assert lab("sample").code == 0


def test_no_model_at_all(lab):
    assert "no trained model under results/: make one with python -m nanochat_np train" in lab("sample").error(4)
    assert "--temperature" in lab("sample", "--temperature=0").error(1)  # flags are looked at first


def test_sampling_writes_nothing(lab, run):
    before = contents(Path())
    texts(lab)
    assert contents(Path()) == before


def test_text_appears_as_it_is_written(lab, run, monkeypatch):
    """Each character is printed before the next one is computed."""
    order = []
    monkeypatch.setattr(sample, "out", lambda text, end="\n": order.append(text + end))
    choose = sample.greedy
    monkeypatch.setattr(sample, "greedy", lambda logits: order.append("computed") or choose(logits))
    lab("sample", "--prompt=Th", "--greedy", "--max-new-tokens=3")
    a, b, c = order[2:7:2]
    assert order == ["Th", "computed", a, "computed", b, "computed", c, "\n"]
    assert len(a) == len(b) == len(c) == 1


def test_flags_that_do_nothing_with_greedy_are_refused(lab, run):
    assert "--top-k does nothing with --greedy" in lab("sample", "--greedy", "--top-k=3").error(1)
    assert lab("sample", "--greedy", "--max-new-tokens=1").code == 0
