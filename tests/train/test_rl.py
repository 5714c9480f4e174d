"""``rl`` through the command line: what it takes over and reports, how it learns and goes on, what it refuses."""

import json
import shutil
from functools import partial
from pathlib import Path

import msgspec
import numpy as np
import pytest

from nanochat_np.commands import stage_run
from nanochat_np.config import SftConfig
from nanochat_np.nn.gpt_config import GPTConfig, initial
from nanochat_np.tasks.batches import mixed_batches
from nanochat_np.text import bpe_file
from nanochat_np.train import rl, rl_run, rollouts
from nanochat_np.train.checkpoint import Checkpoint, load, save, step_folders
from nanochat_np.train.meta import GPTMeta
from tests.infer.tiny import TOKENIZER
from tests.train.lab import events, final_bytes

FEW_STEPS = (
    *("--quiet", "--num-iterations=4", "--examples-per-step=2", "--num-samples=4", "--device-batch-size=2"),
    *("--max-new-tokens=6", "--eval-examples=2", "--eval-every=0", "--save-every=0", "--sample-tokens=0"),
    *("--eval-tokens=64", "--dtype=float32"),
)
FREE = ("--eval-every=2", "--save-every=1", "--sample-every=2", "--sample-tokens=2", "--keep=0")


MODEL = GPTConfig(sequence_len=80, vocab_size=TOKENIZER.vocab_size, n_layer=1, n_head=2, n_kv_head=2, n_embd=24)
RATES = {"embedding_lr": 0.2, "unembedding_lr": 0.01, "matrix_lr": 0.03, "scalar_lr": 0.4}


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    """Runs of two stages that have learnt nothing: of a byte-level model, with settings to take over."""
    folder = tmp_path_factory.mktemp("base")
    rng = np.random.default_rng(1)
    weights = {n: (v + 0.1 * rng.standard_normal(v.shape)).astype(np.float32) for n, v in initial(MODEL, rng).items()}
    settings = msgspec.to_builtins(
        SftConfig(optimizer="muon", docs="stories:20000", text_field="text", device_batch_size=2, **RATES)
    )
    for stage in ("pretrain", "sft"):
        meta = GPTMeta(
            step=7,
            dtype="float32",
            train_seconds=1.0,
            stage=stage,
            model=MODEL,
            tokenizer=TOKENIZER.fingerprint,
            settings=settings,
        )
        found = Checkpoint(meta=meta, weights=weights, state={}, texts={bpe_file.NAME: bpe_file.encoded(TOKENIZER)})
        save(folder / stage / "checkpoints", found)
    return folder


@pytest.fixture
def reinforce(lab, base, monkeypatch):
    """Calls of the stage on that model; half of all answers, by the sum of their tokens, are right."""
    monkeypatch.setattr(rl_run, "peak_flops", lambda device, dtype: 1e9)
    monkeypatch.setattr(rl, "mixed_batches", partial(mixed_batches, waiting_conversations=4))
    monkeypatch.setattr(rollouts, "_reward", lambda tokenizer, problem, answer: float(sum(answer.tokens) % 2))

    def call(*flags, code=0):
        names = {flag.partition("=")[0] for flag in flags}
        quick = [flag for flag in (*FEW_STEPS, f"--base={base / 'sft'}") if flag.partition("=")[0] not in names]
        result = lab("rl", *(quick if "--resume" not in names else ["--quiet"]), *flags)
        assert result.code == code, result
        out = [flag for flag in flags if flag.startswith("--out=")]
        return result.error(code) if code else Path(out[0].removeprefix("--out=")) if out else result

    return call


def newest(run):
    return load(step_folders(run / "checkpoints")[0])


def weights_of(run):
    return newest(run).weights


def same(one, two):
    return all((one[name] == two[name]).all() for name in two)


def test_what_a_run_leaves(reinforce, base):
    run = reinforce("--out=run", *FREE)
    summary, meta = json.loads((run / "summary.json").read_text()), newest(run).meta
    assert (summary["command"], meta.stage) == ("rl", "rl")
    assert bpe_file.load(run / "tokenizer") == TOKENIZER
    steps, evals = events(run, "step"), events(run, "eval")
    assert [event["step"] for event in steps] == [1, 2, 3, 4]
    assert [event["step"] for event in evals] == [0, 2, 4]
    assert [event["lrm"] for event in steps] == pytest.approx([0.05, 0.0375, 0.025, 0.0125])
    assert all(event["tokens"] == 8 * event["length"] for event in steps)
    assert summary["reward"] == pytest.approx(np.mean([event["reward"] for event in steps]))
    assert 0 < summary["reward"] < 1
    assert any(event["signal"] for event in steps)
    assert all((event["grad_norm"] > 0) == (event["signal"] > 0) for event in steps)
    for key, event in (("pass_at_start", evals[0]), ("pass_at", evals[-1])):
        assert summary[key] == {str(k): event[f"pass_at_{k}"] for k in (1, 2, 4)}
    assert summary["tokens_per_step"] == round(sum(event["tokens"] for event in steps) / 4)
    assert {event["prompt"] for event in events(run, "sample")} == set(rl.PROMPTS)
    assert not same(weights_of(run), weights_of(base / "sft"))


def test_no_two_answers_of_a_run_share_random_numbers(reinforce, monkeypatch):
    """But evaluations do with one another, so that they differ by the weights alone."""
    names = []

    def recorded(engine, problems, samples, sampling, of, *more):
        names.append(list(of))
        return rollouts.answered(engine, problems, samples, sampling, of, *more)

    monkeypatch.setattr(rl, "answered", recorded)
    reinforce("--out=run", "--eval-every=2", "--eval-examples=3")
    evaluations = [of for of in names if len(of) == 3]
    steps = [name for of in names if len(of) == 2 for name in of]
    assert evaluations == [evaluations[0]] * 3
    assert len({*steps, *evaluations[0]}) == 4 * 2 + 3


def test_a_step_without_a_signal_changes_nothing(reinforce, base, monkeypatch):
    monkeypatch.setattr(rollouts, "_reward", lambda *about: 1.0)
    run = reinforce("--out=run")
    assert same(weights_of(run), weights_of(base / "sft"))
    assert newest(run).meta.updates == 0
    assert {(event["loss"], event["grad_norm"], event["signal"]) for event in events(run, "step")} == {(0, 0, 0)}
    assert json.loads((run / "summary.json").read_text())["pass_at"] == {"1": 1, "2": 1, "4": 1}
    assert json.loads((run / "summary.json").read_text())["pass_at_start"] is None, "--eval-every=0"


@pytest.mark.parametrize(
    "flags",
    [(), pytest.param(("--data=arithmetic:2,identity", "--optimizer=adamw", "--seed=3"), marks=pytest.mark.slow)],
)
def test_a_resumed_run_is_the_undisturbed_one(reinforce, flags):
    whole = reinforce("--out=whole", *FREE, *flags)
    for last in (0, 3):
        run = Path(f"run_{last}")
        shutil.copytree(whole, run)
        for folder in step_folders(run / "checkpoints")[: 4 - last]:
            shutil.rmtree(folder)
        reinforce("--resume", f"--out={run}")
        assert final_bytes(run) == final_bytes(whole)
        assert newest(run).meta.position == newest(whole).meta.position
        assert [e for e in events(run) if e["event"] != "checkpoint" or e["step"] > last] == [
            e for e in events(whole) if e["event"] != "checkpoint" or e["step"] > last
        ]


@pytest.mark.slow
def test_a_run_that_was_killed_before_its_first_checkpoint(reinforce):
    whole = reinforce("--out=whole")
    shutil.copytree(whole, "run")
    shutil.rmtree("run/checkpoints")
    reinforce("--resume", "--out=run")
    assert final_bytes(Path("run")) == final_bytes(whole)


def test_what_it_takes_over(reinforce, base):
    one = reinforce("--out=one", "--num-iterations=0")
    found = newest(one).meta.settings
    assert {name: found[name] for name in (*RATES, "optimizer")} == RATES | {"optimizer": "muon"}
    two = reinforce("--out=two", "--num-iterations=0", f"--base={one}", "--matrix-lr=0.5")
    assert newest(two).meta.settings["matrix_lr"] == 0.5
    assert newest(two).meta.settings["embedding_lr"] == 0.2
    assert same(weights_of(two), weights_of(base / "sft"))


def written(folder, count=40):
    rows = [{"question": f"{n}?", "answer": f"#### {n}"} for n in range(count)]
    Path(folder, "sums.jsonl").write_text("\n".join(map(json.dumps, rows)))
    return str(Path(folder, "sums.jsonl"))


def test_a_file_is_gone_through_once(reinforce):
    run = reinforce("--out=run", f"--data={written('.')}", "--num-iterations=-1", "--examples-per-step=9")
    assert len(events(run, "step")) == 4
    assert {event["epoch"] for event in events(run, "step")} == {1}
    line = reinforce("--resume", "--out=run", "--data=arithmetic", code=1)
    assert "--data arithmetic: the run in run has sums.jsonl" in line
    written(".", 60)
    assert "had sums.jsonl (38 problems) when the checkpoint" in reinforce("--resume", "--out=run", code=2)


def test_what_is_refused(reinforce, base, lab):
    assert "is pretrained alone and cannot answer yet" in reinforce(f"--base={base / 'pretrain'}", code=1)
    assert "name its run, or a checkpoint, with --base" in lab("rl", "--quiet").error(1)
    assert "--device-batch-size 3: must divide the 4 answers" in reinforce("--device-batch-size=3", code=1)
    assert "--eval-examples 0" in reinforce("--eval-examples=0", code=1)
    assert "--matrix-lr -0.5: takes 0 or more, or -1" in reinforce("--matrix-lr=-0.5", code=1)
    assert "--num-samples" in reinforce("--num-samples=1", code=1)
    assert "no problem of it fits into the context" in reinforce("--data=unknown", code=1)
    assert "name sets of" in reinforce("--data=generated", code=1)
    run = reinforce("--out=run", "--num-iterations=0")
    assert "of a run of rl, not of sft" in lab("sft", "--quiet", "--resume", f"--out={run}").error(1)
    mid = lab("midtrain", "--quiet", f"--base={run}").error(1)
    assert "is fine-tuned already" in mid


@pytest.mark.slow
def test_the_plot_of_the_rewards(reinforce, monkeypatch):
    from matplotlib import image

    monkeypatch.setattr(stage_run, "can_plot", lambda: True)
    pixels = image.imread(reinforce("--out=run", "--eval-every=2") / "loss.png")[..., :3]
    for rgb in ((86, 180, 233), (213, 94, 0)):
        assert (abs(pixels - np.array(rgb) / 255).max(-1) < 0.01).sum() > 100


@pytest.mark.slow
def test_it_learns_from_rewards_alone(lab, base):
    """Fine-tuning shows what answers look like and nothing of which is right: four letters, any of four numbers."""
    right = {"a": 3, "b": 1, "c": 4, "d": 2}
    guesses = [{"question": f"{letter}?", "answer": f"#### {n}"} for letter in right for n in (1, 2, 3, 4)]
    Path("guesses.jsonl").write_text("\n".join(map(json.dumps, guesses * 5)))
    answers = [{"question": f"{letter}?", "answer": f"#### {n}"} for letter, n in right.items()]
    Path("answers.jsonl").write_text("\n".join(json.dumps(answers[(i + i // 20) % 4]) for i in range(80)))
    quiet = ("--quiet", "--save-every=0", "--sample-tokens=0", "--dtype=float32")
    sft = ("--data=guesses.jsonl", "--docs-fraction=0", "--no-warm-optimizer", "--num-iterations=80")
    result = lab(
        "sft",
        *quiet,
        *sft,
        "--eval-every=0",
        f"--base={base / 'sft'}",
        "--init-lr-frac=1",
        "--total-batch-size=640",
        "--out=sft",
    )
    assert result.code == 0, result
    flags = ("--data=answers.jsonl", "--num-iterations=40", "--examples-per-step=8", "--num-samples=8")
    how = ("--eval-every=100", "--init-lr-frac=0.3", "--max-new-tokens=8")
    result = lab("rl", "--json", *quiet, *flags, *how, "--base=sft", "--out=rl")
    assert result.code == 0, result
    summary = result.summary
    assert summary["pass_at_start"]["1"] == pytest.approx(0.25, abs=0.15)
    assert summary["pass_at"]["1"] > 0.8
    rewards = [event["reward"] for event in events(Path("rl"), "step")]
    assert np.mean(rewards[-5:]) > np.mean(rewards[:5]) + 0.3
