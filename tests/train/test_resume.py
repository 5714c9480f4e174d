"""Training that is stopped and goes on is the training that was not stopped."""

import json
import os
import signal
from pathlib import Path

import pytest

from nanochat_np.train import character, loop
from tests.train.lab import BIGRAM, FUSED, TINY_GPT, contents, events, final_bytes, flip, step_lines, watch

MODES = {"float32": (), "float64": ("--dtype=float64",), "scalar": ("--mode=scalar",)}
OPTIMIZERS = {"sgd": ("--optimizer=sgd", "--momentum=0.9", "--lr=0.1"), "adamw": ("--weight-decay=0.1",)}
KINDS = {"bigram": BIGRAM, "mini-gpt": TINY_GPT}
CASES = {
    f"{mode} {optimizer} {kind}": (*MODES[mode], *OPTIMIZERS[optimizer], *KINDS[kind])
    for mode in MODES
    for optimizer in OPTIMIZERS
    for kind in KINDS
} | {"fused": FUSED}
# Each pair of choices is in one of these; all combinations are in the slow tier.
PAIRWISE = ("float32 adamw mini-gpt", "float64 sgd mini-gpt", "float64 adamw bigram", "scalar sgd bigram")
PAIRWISE += ("scalar adamw mini-gpt", "fused")
PLAIN = ("--lr-schedule=constant", "--warmup-steps=6")  # a schedule that does not look at --steps
SAME = ("train_loss", "mean_loss_last_n", "last_n", "val_loss", "val_bpb", "steps")


def end(path: str) -> tuple[bytes, bytes]:
    return final_bytes(Path(path))


@pytest.mark.parametrize(
    "case", [pytest.param(case, marks=() if case in PAIRWISE else pytest.mark.slow) for case in CASES]
)
def test_steps_in_two_parts(lab, case):
    whole = lab.train(*CASES[case], *PLAIN, "--steps=9", "--out=whole", "--json").summary
    assert lab.train(*CASES[case], *PLAIN, "--steps=4", "--out=parts").code == 0
    parts = lab.resume("--out=parts", "--steps=9", "--json").summary
    assert end("parts") == end("whole")
    assert step_lines(Path("parts")) == step_lines(Path("whole"))
    assert {name: parts[name] for name in SAME} == {name: whole[name] for name in SAME}


def test_the_mean_of_recent_losses_spans_the_parts(lab):
    whole = lab.train(*FUSED, *PLAIN, "--steps=120", "--out=whole", "--json").summary
    lab.train(*FUSED, *PLAIN, "--steps=90", "--out=parts")
    parts = lab.resume("--out=parts", "--steps=120", "--json").summary
    assert (whole["last_n"], parts["mean_loss_last_n"]) == (50, whole["mean_loss_last_n"])
    recent = [event["loss"] for event in events(Path("parts"), "step")[-50:]]
    assert parts["mean_loss_last_n"] == pytest.approx(sum(recent) / 50, rel=1e-12)


@pytest.mark.parametrize("flags", [TINY_GPT, (*BIGRAM, "--mode=scalar")], ids=["tensor", "scalar"])
def test_a_run_that_was_stopped_again_and_again(lab, monkeypatch, flags):
    flags = (*flags, "--steps=40", "--eval-every=10", "--checkpoint-every=15")
    whole = lab.trained(*flags, "--out=whole")
    stops = iter([1, 13, 29])
    first = next(stops)

    def stop(step: int) -> None:
        nonlocal first
        if step >= first:
            first = next(stops, 99)
            signal.raise_signal(signal.SIGINT)

    watch(monkeypatch, stop)
    codes = [lab.train(*flags, "--out=parts").code]
    while codes[-1] == 130:
        codes.append(lab.resume("--out=parts").code)
    assert codes == [130] * 3 + [0]
    assert end("parts") == end("whole")
    kept = [event for event in events(Path("parts")) if event["event"] != "checkpoint"]
    assert kept == [event for event in events(whole) if event["event"] != "checkpoint"]


@pytest.mark.parametrize("flags", [TINY_GPT, FUSED, (*BIGRAM, "--mode=scalar")], ids=["gpt", "fused", "scalar"])
def test_how_steps_fall_into_chunks_changes_nothing(lab, monkeypatch, flags):
    chunks = {}
    for name, seconds in (("single", 0.0), ("growing", 1e9)):
        seen = chunks[name] = []
        watch(monkeypatch, seen.append)
        monkeypatch.setattr(loop, "_CHUNK_SECONDS", seconds)
        lab.trained(*flags, "--steps=23", f"--out={name}")
    assert chunks == {"single": list(range(1, 24)), "growing": [1, 3, 7, 15, 23]}
    lab.trained(*flags, "--steps=23", "--eval-every=3", "--checkpoint-every=5", "--out=cut")
    assert end("growing") == end("single") == end("cut")
    assert step_lines(Path("growing")) == step_lines(Path("single")) == step_lines(Path("cut"))


def test_chunks_are_bounded_however_short_they_stay(lab, monkeypatch):
    """An evaluation after every step cuts every chunk: the length of the next one must not grow meanwhile."""
    counts = []
    watched = loop.TrainingLoop._next_count
    monkeypatch.setattr(loop.TrainingLoop, "_next_count", lambda *a: counts.append(watched(*a)) or counts[-1])
    monkeypatch.setattr(loop, "_CHUNK_SECONDS", 1e9)
    assert lab.train(*FUSED, "--steps=20", "--eval-every=1", "--val-tokens=9").code == 0
    assert max(counts) == 2
    monkeypatch.setattr(loop, "_CHUNK_STEPS", 50)
    assert lab.train(*FUSED, "--steps=200").code == 0
    assert max(counts) == 50
    monkeypatch.setattr(loop, "_CHUNK_TOKENS", 33 * 32)
    counts.clear()
    assert lab.train(*BIGRAM, "--steps=100").code == 0
    assert max(counts) == 33
    monkeypatch.setattr(loop, "_CHUNK_TOKENS", 1)
    counts.clear()
    assert lab.train(*BIGRAM, "--steps=4").code == 0
    assert counts == [1] * 4


def test_an_evaluation_that_a_kill_cut_off_is_made_up_for(lab, monkeypatch):
    flags = (*TINY_GPT, "--steps=6", "--eval-every=2", "--checkpoint-every=2")
    whole = lab.trained(*flags, "--out=whole")
    validate, calls = character.validate, []

    def dies_at_step_2(*arguments, **options):
        calls.append(1)
        if len(calls) == 2:
            raise SystemError("killed")
        return validate(*arguments, **options)

    monkeypatch.setattr(character, "validate", dies_at_step_2)
    assert lab.train(*flags, "--out=parts").code == 3
    assert lab.resume("--out=parts").code == 0
    assert events(Path("parts")) == events(whole)


def test_a_finished_run_reports_again(lab):
    flags = (*TINY_GPT, "--steps=5", "--eval-every=2", "--sample-tokens=9")
    first = lab.train(*flags, "--out=run", "--json").summary
    before, seen = contents(Path("run/checkpoints")), events(Path("run"))
    again = lab.resume("--out=run", "--json").summary
    assert contents(Path("run/checkpoints")) == before
    assert events(Path("run")) == seen
    measured = {"wall_seconds", "start_up_seconds"}
    assert {k: v for k, v in again.items() if k not in measured} == {
        k: v for k, v in first.items() if k not in measured
    }
    assert json.loads(Path("run/summary.json").read_text()) == again


def test_contradicting_flags_are_named(lab):
    lab.trained(*TINY_GPT, "--steps=2", "--out=run")
    before = contents(Path("run"))
    for flags, wanted in {
        ("--seed=5",): ("--seed 5", "1337"),
        ("--model-kind=bigram",): ("--model-kind bigram", "mini-gpt"),
        ("--lr=0.5",): ("--lr 0.5", "0.01"),
        ("--block-size=8",): ("--block-size 8", "4"),
        ("--data=stories:4001",): ("--data stories:4001", "stories:4000"),
        ("--mode=scalar",): ("--mode scalar", "tensor"),
    }.items():
        message = lab.resume("--out=run", *flags).error(1)
        assert all(part in message for part in (*wanted, "the run in run"))
    assert contents(Path("run")) == before


def test_flags_that_say_what_the_run_has_are_no_contradiction(lab):
    lab.trained("--n-embd=64", "--n-head=32", "--block-size=4", "--steps=1", "--batch-size=2", "--out=run")
    assert lab.resume("--out=run", "--n-head=32", "--lr=0.01", "--seed=1337", "--data=stories:4000").code == 0


def test_free_flags_are_honoured_and_the_others_kept(lab):
    lab.trained(*TINY_GPT, "--steps=3", "--seed=7", "--lr=0.02", "--debug", "--out=run")
    free = ("--steps=8", "--eval-every=5", "--checkpoint-every=4", "--val-tokens=40", "--memory-guard-window=3")
    summary = lab.resume("--out=run", *free, "--sample-tokens=11", "--memory-guard-ratio=0", "--json").summary
    assert (summary["steps"], summary["seed"], len(summary["sample"]), summary["val_tokens"]) == (8, 7, 11, 40)
    assert [event["step"] for event in events(Path("run"), "eval")] == [5, 8]
    assert [event["step"] for event in events(Path("run"), "checkpoint")] == [3, 4, 8]
    config = json.loads(Path("run/config.json").read_text())["config"]
    assert (config["lr"], config["memory_guard_window"], config["memory_guard_ratio"]) == (0.02, 3, 0)
    assert (config["debug"], config["json"], config["quiet"]) == (False, True, True)  # of this call
    assert lab.resume("--out=run").code == 0  # --steps 8 is the run's own now
    assert lab.resume("--out=run", "--json").summary["steps"] == 8


def test_fewer_steps_than_are_taken(lab):
    lab.trained(*TINY_GPT, "--steps=5", "--out=run")
    before = contents(Path("run"))
    assert "--steps 3: the run in run is at step 5 already" in lab.resume("--out=run", "--steps=3").error(1)
    assert contents(Path("run")) == before


def test_a_device_that_the_mode_does_not_have(lab):
    lab.trained(*BIGRAM, "--mode=scalar", "--steps=1", "--out=run")
    assert "--mode scalar" in lab.resume("--out=run", "--device=cuda").error(1)


def test_a_config_that_was_edited(lab):
    run = lab.trained(*TINY_GPT, "--steps=2", "--out=run")
    config = run / "config.json"
    config.write_text(config.read_text().replace('"n_embd": 4', '"n_embd": 8'))
    before = contents(run)
    assert "checkpoints hold another model than its config.json" in lab.resume("--out=run").error(4)
    assert contents(run) == before


def test_data_that_changed(lab):
    text = "the cat sat on the mat and the dog sat on the log\n" * 9
    Path("text.txt").write_text(text)
    assert lab.train(*TINY_GPT, "--steps=2", "--out=run", data="text.txt").code == 0
    before = contents(Path("run"))
    Path("text.txt").write_text(text.replace("cat", "bat"))
    assert "--data text.txt" in lab.resume("--out=run", "--steps=4").error(2)
    assert contents(Path("run")) == before
    Path("text.txt").unlink()
    assert "text.txt" in lab.resume("--out=run", "--steps=4").error(2)


def test_nothing_to_go_on_with(lab):
    assert "no run of train under results/" in lab.resume().error(4)
    result = lab("train", "--resume", "--data=stories:4000", *FUSED, "--steps=2", "--out=new", "--sample-tokens=0")
    assert result.code == 0
    assert result.err.startswith("nothing to go on with in new: starting at step 0\n")
    assert lab("train", "--resume", "--out=new").err.startswith("going on from step 2\n")


def test_the_run_that_was_begun_last_is_gone_on_with(lab):
    """Also when it was stopped before its first checkpoint: an older run must not take its place."""
    assert lab.train(*FUSED, "--steps=3", "--seed=1").code == 0
    (old,) = Path("results").iterdir()
    young = Path("results/another")
    lab.trained(*FUSED, "--steps=3", "--seed=2", f"--out={young}")
    (young / "checkpoints/step_000003/meta.json").unlink()
    for path in sorted((young / "checkpoints").rglob("*"), reverse=True):
        path.rmdir() if path.is_dir() else path.unlink()
    Path("results/report").mkdir()
    Path("results/report/config.json").touch()  # of no run
    summary = lab.resume("--json").summary
    assert (summary["seed"], summary["steps"], summary["out"]) == (2, 3, str(young))
    assert lab.resume(f"--out={old}").code == 0
    assert lab.resume("--json").summary["seed"] == 1  # the last that was gone on with


def test_a_run_with_no_checkpoint_yet_keeps_its_settings(lab, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(loop.TrainingLoop, "to_end", lambda self: 1 / 0)
        assert lab.train(*TINY_GPT, "--steps=4", "--seed=9", "--out=run").code == 3
    assert {path.name for path in Path("run").iterdir()} >= {"config.json"}
    summary = lab.resume("--out=run", "--json").summary
    assert (summary["seed"], summary["steps"], summary["block_size"]) == (9, 4, 4)
    lab.trained(*TINY_GPT, "--steps=4", "--seed=9", "--out=whole")
    assert end("run") == end("whole")


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"\xff\xfe",
        b"[]",
        b'{"schema":1}',
        b'{"schema":"1","config":{}}',
        b'{"schema":1,"config":{"steps":-3}}',
        b'{"schema":1,"config":{"stepz":3}}',
        b'{"schema":1,"config":"\xff"}',
        b'{"schema":2,"config":{}}',
        None,
    ],
)
def test_a_damaged_config(lab, content):
    config = Path("run/config.json")
    (config.parent / "checkpoints/step_000001").mkdir(parents=True)
    if content is not None:
        config.write_bytes(content)
    message = lab.resume("--out=run").error(4)
    assert "run/config.json" in message
    assert lab.train("--out=run").error(1).startswith("error: --out run: holds a run already")


def test_a_damaged_checkpoint_is_passed_over(lab):
    flags = (*TINY_GPT, "--steps=9", "--checkpoint-every=3")
    lab.trained(*flags, "--out=whole")
    run = lab.trained(*flags, "--out=run")
    before = events(run)
    flip(run / "checkpoints/step_000009/state.safetensors")
    (run / "checkpoints/step_000006/model.safetensors").unlink()
    result = lab("train", "--resume", "--out=run")
    assert result.code == 0
    notes = result.err.splitlines()
    assert notes[0].startswith("passing over a checkpoint: run/checkpoints/step_000009/state.safetensors: damaged")
    assert "run/checkpoints/step_000006/model.safetensors" in notes[1]
    assert notes[2] == "going on from step 3"
    assert end("run") == end("whole")
    assert events(run) == before
    assert contents(run / "checkpoints").keys() == contents(Path("whole/checkpoints")).keys()


def test_no_sound_checkpoint(lab):
    run = lab.trained(*TINY_GPT, "--steps=4", "--checkpoint-every=2", "--out=run")
    for step in (2, 4):
        flip(run / f"checkpoints/step_00000{step}/model.safetensors")
    message = lab.resume("--out=run").error(4)
    assert "no checkpoint of 2 is sound" in message
    assert "step_000004/model.safetensors: damaged" in message


def test_the_newest_run_of_the_same_command(lab):
    lab.trained(*BIGRAM, "--steps=2", "--out=results/a")
    lab.pretrained("--out=results/b")
    assert lab.resume("--json", "--steps=3").summary["out"] == "results/a"
    assert lab("pretrain", "--resume", "--quiet", "--json").summary["out"] == "results/b"
    Path("results/b/config.json").write_text("{")
    os.utime("results/b/config.json")
    assert "results/b/config.json: damaged" in lab.resume("--steps=4").error(4)
