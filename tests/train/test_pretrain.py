"""``pretrain`` through the command line: what a run leaves, how it goes on, and what it refuses."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from nanochat_np import kernels
from nanochat_np.backend.device import Device
from nanochat_np.commands import stage_run
from nanochat_np.evaluate.core import core_metric
from nanochat_np.evaluate.core_bundle import read_bundle
from nanochat_np.evaluate.predictor import Predictor
from nanochat_np.nn import gpt
from nanochat_np.text import bpe_file
from nanochat_np.text.bpe import BpeTokenizer
from nanochat_np.train import checkpoint, gpt_run, pretrain
from nanochat_np.train.checkpoint import load, step_folders
from nanochat_np.train.gpt_trainer import GPTTrainer
from tests.evaluate.test_core import ENTRY, ROWS, bundle
from tests.train.lab import events, final_bytes, flip


def test_what_a_run_leaves(lab):
    result = lab.pretrain("--json", "--out=run", "--eval-every=3", "--save-every=2", "--keep=2", "--sample-tokens=3")
    assert result.code == 0, result
    run = Path("run")
    summary = result.summary
    assert json.loads((run / "summary.json").read_text()) == summary
    steps = events(run, "step")
    assert [event["step"] for event in steps] == [1, 2, 3, 4, 5, 6]
    assert list(steps[0]) == ["event", "step", "loss", "grad_norm", "lrm", "momentum", "weight_decay", "epoch"]
    assert steps[0]["loss"] == pytest.approx(np.log(300), abs=0.01)
    assert steps[-1]["loss"] < steps[0]["loss"]
    assert [event["step"] for event in events(run, "eval")] == [0, 3, 6]
    assert summary["val_bpb"] == events(run, "eval")[-1]["val_bpb"]
    assert summary["min_val_bpb"] == min(event["val_bpb"] for event in events(run, "eval"))
    assert [path.name for path in step_folders(run / "checkpoints")] == ["step_000006", "step_000004"]
    assert (run / "checkpoints/latest").read_text() == "step_000006\n"
    assert {event["prompt"] for event in events(run, "sample")} == set(pretrain.PROMPTS) == set(summary["samples"])
    assert bpe_file.load(run / "tokenizer") == bpe_file.load(run / "checkpoints/step_000006")
    found = load(run / "checkpoints/step_000006")
    assert found.meta.tokenizer == bpe_file.load(run / "tokenizer").fingerprint
    assert found.meta.stage == "pretrain"


@pytest.mark.slow
def test_the_plot_of_the_losses(lab, monkeypatch):
    from matplotlib import image

    monkeypatch.setattr(stage_run, "can_plot", lambda: True)
    pixels = image.imread(lab.pretrained("--out=run", "--eval-every=3") / "loss.png")[..., :3]
    blue, vermilion = (abs(pixels - np.array(rgb) / 255).max(-1) < 0.01 for rgb in ((86, 180, 233), (213, 94, 0)))
    assert blue.sum() > 500
    assert vermilion.sum() > 500


def test_the_losses_are_those_of_the_model_on_packed_text(lab):
    """The first step's loss, and the validation, computed here from the files of the run."""
    run = lab.pretrained("--out=run", "--num-iterations=0", "--eval-tokens=96")
    found = load(run / "checkpoints/step_000000")
    tokenizer = bpe_file.load(run / "tokenizer")
    (event,) = events(run, "eval")
    split = pretrain_split()
    batches = pretrain.packed_batches(split.validation, tokenizer, 2, 16)
    nats = count = 0.0
    for batch, _ in zip(batches, range(3), strict=False):
        losses = gpt.losses(found.weights, found.meta.model, batch.inputs, batch.targets)
        nats += float(losses.sum())
        count += losses.size
    assert count == 96
    assert event["val_loss"] == pytest.approx(nats / count, rel=1e-6)


def pretrain_split():
    from nanochat_np.data.split import open_split

    return open_split("stories:20000")


@pytest.mark.parametrize("flags", [(), ("--optimizer=adamw", "--grad-clip=0.1", "--architecture=classic")])
def test_a_resumed_run_is_the_undisturbed_one(lab, flags):
    common = ("--save-every=1", "--eval-every=2", "--sample-every=2", "--sample-tokens=2", "--keep=0", *flags)
    whole = lab.pretrained("--out=whole", *common)
    for last in (0, 1, 4):
        run = Path(f"run_{last}")
        shutil.copytree(whole, run)
        for folder in step_folders(run / "checkpoints")[: 6 - last]:
            shutil.rmtree(folder)
        assert lab.pretrain("--resume", f"--out={run}", *common).code == 0
        assert final_bytes(run) == final_bytes(whole)
        assert [e for e in events(run) if e["event"] != "checkpoint" or e["step"] > last] == [
            e for e in events(whole) if e["event"] != "checkpoint" or e["step"] > last
        ]


def test_a_run_goes_on_from_an_older_step(lab):
    run = lab.pretrained("--out=run", "--save-every=2", "--keep=0")
    whole = final_bytes(run)
    line = lab("pretrain", "--quiet", "--out=run", "--resume-from-step=3").error(4)
    assert "--resume-from-step 3: no such checkpoint" in line
    assert line.endswith("there are: 2, 4, 6")
    again = ("pretrain", "--quiet", "--out=run", "--resume-from-step=2", "--num-iterations=4", "--save-every=4")
    assert lab(*again).code == 0
    assert [path.name for path in step_folders(run / "checkpoints")] == ["step_000004", "step_000002"]
    assert [event["step"] for event in events(run, "step")] == [1, 2, 3, 4]
    assert lab("pretrain", "--quiet", "--resume", "--out=run", "--num-iterations=6").code == 0
    assert final_bytes(run) != whole  # the schedule of four steps came between


def test_flags_of_a_resumed_run(lab):
    run = lab.pretrained("--out=run")
    assert lab("pretrain", "--resume", "--quiet", "--out=run", "--num-iterations=8").code == 0
    assert [event["step"] for event in events(run, "step")] == list(range(1, 9))
    assert "--depth 2: the run in run has 1" in lab("pretrain", "--resume", "--quiet", "--out=run", "--depth=2").error(
        1
    )
    assert "at step 8 already" in lab("pretrain", "--resume", "--quiet", "--out=run", "--num-iterations=7").error(1)
    assert "holds a run already" in lab.pretrain("--out=run").error(1)
    assert "of a run of pretrain, not of train" in lab("train", "--resume", "--out=run").error(1)


def test_a_damaged_checkpoint_is_passed_over(lab):
    run = lab.pretrained("--out=run", "--save-every=3", "--keep=0")
    whole = final_bytes(run)
    flip(run / "checkpoints/step_000006/bpe.json")
    result = lab("pretrain", "--resume", "--out=run")
    assert result.code == 0
    assert "passing over a checkpoint" in result.err
    assert final_bytes(run) == whole


def test_another_tokenizer_is_refused(lab):
    run = lab.pretrained("--out=run", "--save-every=3")
    other = BpeTokenizer(bpe_file.load(run / "tokenizer").tokens[:-1])
    bpe_file.save(run / "tokenizer", other)
    assert "tokenizer" in lab("pretrain", "--resume", "--quiet", "--out=run").error(4)


def test_changed_data_is_refused(lab):
    text = Path("text.txt")
    text.write_text("once upon a time there was a small model. " * 400)
    lab.pretrained("--out=run", f"--data={text}", "--vocab-size=270")
    text.write_text(text.read_text() + "more")
    message = lab("pretrain", "--resume", "--quiet", "--out=run", "--num-iterations=9").error(2)
    assert "text.txt: has" in message
    assert "bytes" in message


def test_accumulation_is_the_large_batch(lab):
    one = lab.pretrained("--out=one", "--device-batch-size=4", "--dtype=float64")
    two = lab.pretrained("--out=two", "--device-batch-size=1", "--dtype=float64")
    rows = [[event["loss"] for event in events(run, "step")] for run in (one, two)]
    assert rows[0] == pytest.approx(rows[1], rel=1e-9)


def test_recompute_changes_nothing(lab):
    one, two = lab.pretrained("--out=one"), lab.pretrained("--out=two", "--recompute")
    assert [event["loss"] for event in events(one, "step")] == [event["loss"] for event in events(two, "step")]


def test_bfloat16_is_of_products_only(lab):
    run = lab.pretrained("--out=run", "--dtype=bf16")
    plain = lab.pretrained("--out=plain", "--dtype=float32")
    found = load(run / "checkpoints/step_000006")
    assert found.meta.dtype == "float32"
    assert found.meta.settings["dtype"] == "bfloat16"
    assert {values.dtype for values in (*found.weights.values(), *found.state.values())} == {np.dtype("float32")}
    losses, expected = ([event["loss"] for event in events(path, "step")] for path in (run, plain))
    assert losses != expected
    assert losses == pytest.approx(expected, rel=1e-2)
    shutil.rmtree(run / "checkpoints/step_000006")
    assert lab("pretrain", "--resume", "--quiet", "--out=run").code == 0
    assert [event["loss"] for event in events(run, "step")] == losses


@pytest.mark.parametrize(("has_instruction", "dtype"), [(True, "bfloat16"), (False, "float32")])
def test_the_precision_is_that_of_the_cpu_and_stays_that_of_the_run(lab, monkeypatch, has_instruction, dtype):
    monkeypatch.setattr(kernels, "multiply_bfloat16", lambda: has_instruction)
    summary = lab.pretrain("--out=run", "--json").summary
    assert summary["dtype"] == dtype
    monkeypatch.setattr(kernels, "multiply_bfloat16", lambda: not has_instruction)
    assert lab("pretrain", "--resume", "--quiet", "--out=run", "--num-iterations=7", "--json").summary["dtype"] == dtype


def test_a_tokenizer_of_ones_own(lab):
    run = lab.pretrained("--out=one")
    other = lab.pretrained("--out=two", f"--tokenizer={run / 'tokenizer'}", "--vocab-size=-1")
    assert bpe_file.load(other / "tokenizer") == bpe_file.load(run / "tokenizer")
    assert final_bytes(other)[0] == final_bytes(run)[0]


BAD = {
    "--vocab-size=20000": (2, "too small for a vocabulary of 20000"),
    "--vocab-size=100": (1, "at least 265"),
    "--total-batch-size=65": (1, "--total-batch-size 65: not a multiple of the 32 tokens"),
    "--head-dim=15": (1, "--head-dim 15: must be even"),
    "--n-kv-head=3": (1, "--n-kv-head 3"),
    "--window-pattern=SXL": (1, "--window-pattern 'SXL'"),
    "--data=nowhere": (2, "no such file or folder"),
    "--tokenizer=nowhere": (4, "cannot read the tokenizer"),
    "--device=cuda": (1, "--device cuda"),
    "--sinks=wandb": (1, "--sinks wandb: not installed: pip install wandb"),
    "--memory-guard-ratio=0.5": (1, "--memory-guard-ratio 0.5"),
    "--max-seq-len=0": (1, "--max-seq-len 0"),
    "--device-batch-size=100000000": (1, "lower --device-batch-size"),
    "--depht=3": (1, "did you mean --depth?"),
    "--config=nowhere.toml": (1, "nowhere.toml: cannot be read"),
}


@pytest.mark.parametrize("flag", BAD)
def test_bad_flags(lab, flag):
    code, words = BAD[flag]
    flags = ("--total-batch-size=-1",) if flag.startswith("--device-batch") else ()
    assert words in lab.pretrain(flag, *flags, "--out=run").error(code)
    assert not Path("run").exists()


def test_a_tokenizer_that_does_not_fit_the_flag(lab):
    run = lab.pretrained("--out=one")
    message = lab.pretrain(f"--tokenizer={run / 'tokenizer'}", "--vocab-size=400", "--out=two").error(1)
    assert message.startswith("error: --vocab-size 400: the tokenizer in one/tokenizer has 300 tokens")


def test_a_loss_that_is_not_finite(lab, monkeypatch):
    step = GPTTrainer.step
    monkeypatch.setattr(
        GPTTrainer, "step", lambda self, *a: (np.nan, 1.0) if self.optimizer.steps == 4 else step(self, *a)
    )
    message = lab.pretrain("--out=run", "--save-every=2").error(3)
    assert "the loss (nan) is not finite at step 5: lower --matrix-lr" in message
    assert "run/checkpoints/step_000004" in message


def test_no_memory_says_what_to_lower(lab, monkeypatch):
    monkeypatch.setattr(gpt, "forward", lambda *a, **k: exec("raise MemoryError"))
    assert "out of memory: lower --device-batch-size" in lab.pretrain("--out=run").error(3)


def test_a_full_disk_leaves_the_older_checkpoint(lab, monkeypatch):
    write, calls = checkpoint.write_tensors, []

    def full(path, arrays):
        calls.append(path)
        if len(calls) > 2:
            raise OSError(28, "No space left on device")
        return write(path, arrays)

    monkeypatch.setattr(checkpoint, "write_tensors", full)
    message = lab.pretrain("--out=run", "--save-every=3").error(4)
    assert "step_000006; older ones are untouched: No space left on device" in message
    assert load(Path("run/checkpoints/step_000003")).meta.step == 3


def test_settings_from_a_file(lab):
    Path("tiny.toml").write_text("[model]\ndepth = 2\n\n[run]\nsave-every = 3\neval-every = 0\n")
    run = lab.pretrained("--config=tiny.toml", "--depth=1", "--out=run", "--keep=0")
    assert json.loads((run / "config.json").read_text())["config"]["depth"] == 1  # the command line wins
    settings = Path("other.toml")
    settings.write_text("[model]\ndpeth = 2\n")
    assert "other.toml: [model] dpeth: no such setting; did you mean depth?" in lab.pretrain(
        "--config=other.toml"
    ).error(1)
    settings.write_text("[run]\ndepth = 2\n")
    assert "[run] depth: belongs into [model]" in lab.pretrain("--config=other.toml").error(1)
    settings.write_text("[modle]\ndepth = 2\n")
    assert "[modle]: no such section; did you mean model?" in lab.pretrain("--config=other.toml").error(1)
    settings.write_text('[model]\ndepth = "many"\n')
    assert "--config other.toml: --depth many: expected a whole number" in lab.pretrain("--config=other.toml").error(1)
    settings.write_text("depth 4")
    assert "not TOML" in lab.pretrain("--config=other.toml").error(1)


def test_samples_of_a_pretrained_model(lab):
    run = lab.pretrained("--out=run", "--sample-tokens=5")
    told = {event["prompt"]: event["text"] for event in events(run, "sample")}
    for prompt in pretrain.PROMPTS[:2]:
        found = lab("sample", "--checkpoint=run", "--json", "--greedy", f"--prompt={prompt}", "--max-new-tokens=5")
        assert found.summary["texts"] == [prompt + told[prompt]]
        assert found.summary["model_kind"] == "gpt"
    assert "holds a gpt, not the bigram" in lab("sample", "--checkpoint=run", "--model-kind=bigram").error(4)
    drawn = lab("sample", "--checkpoint=run", "--json", "--num-samples=2", "--max-new-tokens=20").summary["texts"]
    assert drawn[0] != drawn[1]


def test_the_first_run_on_a_machine_tells_how_far_compiling_is(lab, monkeypatch):
    kernels.kernel.cache_clear()
    monkeypatch.setattr(kernels, "are_cold", lambda: True)
    lines = lab.pretrain("--out=run", "--quiet=false").err.splitlines()
    assert "compiling the loops, once on this machine: half a minute" in lines
    told = [line for line in lines if line.startswith("compiled ")]
    assert told[:2] == ["compiled 5 of about 30 loops", "compiled 10 of about 30 loops"]
    assert abs(kernels.kernel.cache_info().currsize - gpt_run.LOOPS_OF_A_RUN) <= 4
    assert "compiled " not in lab.pretrain("--out=again", "--quiet=false").err  # by then all is known in this process


def test_core_is_measured_now_and_then_and_at_the_end(lab, tmp_path, monkeypatch):
    pytest.importorskip("yaml")
    bundle(tmp_path / "bundle", [ENTRY], ROWS)
    flags = (
        "--out=run",
        "--eval-every=3",
        "--core-metric-every=4",
        "--core-metric-max-per-task=6",
        "--core-bundle=bundle",
    )
    run = lab.pretrained(*flags)
    measured = events(run, "core")
    assert [event["step"] for event in measured] == [4, 6]
    assert list(measured[0]) == ["event", "step", "core_metric", "accuracy"]
    found = load(run / "checkpoints/step_000006")
    predictor = Predictor(found.meta.model, dict(found.weights), Device(), found.meta.settings["dtype"])
    again = core_metric(predictor, bpe_file.load(run / "tokenizer"), read_bundle(tmp_path / "bundle", 6))
    assert measured[1]["core_metric"] == again.metric
    assert measured[1]["accuracy"] == {"t": again.parts["t"].accuracy}
    plain = lab.pretrained("--out=plain", "--eval-every=3")
    assert events(plain, "step", "eval") == events(run, "step", "eval"), "it changes nothing else"


def test_a_missing_bundle_is_told_before_anything_is_written(lab, tmp_path):
    line = lab.pretrain("--out=run", "--core-metric-every=1", "--core-bundle=nowhere").error(2)
    assert "nowhere: has no core.yaml: download https://" in line
    assert not (tmp_path / "run").exists()
