"""One run a folder, one process a run, and what a full disk does to it."""

import errno
import os
from pathlib import Path

import pytest

from nanochat_np.errors import ConfigError, RunError
from nanochat_np.train import run_folder
from nanochat_np.train.checkpoint import load, step_folders
from nanochat_np.train.run_folder import RunFolder, new_path
from tests.train.lab import FUSED, TINY_GPT, contents, events, step_lines, watch


def test_one_process_at_a_time(lab, monkeypatch):
    """A second one is refused at every stage of the first, which goes on unharmed."""
    flags = (*TINY_GPT, "--steps=9")
    lab.trained(*flags, "--out=whole")
    refusals = []

    def try_in_between(step: int) -> None:
        if step == 7:
            monkeypatch.undo()
            monkeypatch.chdir(folder)
            refusals.append(lab.train(*flags, "--out=run"))
            refusals.append(lab.resume("--out=run"))

    folder = Path.cwd()
    watch(monkeypatch, try_in_between)
    run = lab.trained(*flags, "--out=run")
    assert "--out run: holds a run already" in refusals[0].error(1)
    assert "--out run: another process is training there" in refusals[1].error(1)
    assert step_lines(run) == step_lines(Path("whole"))
    assert load(run / "checkpoints/step_000009").meta.step == 9


def test_the_lock(tmp_path):
    with RunFolder(tmp_path / "a"):
        with pytest.raises(ConfigError, match="another process is training there"), RunFolder(tmp_path / "a"):
            pass
        with RunFolder(tmp_path / "b"):
            pass
    with RunFolder(tmp_path / "a"):
        pass


def test_a_process_that_began_while_this_one_prepared(lab, monkeypatch):
    from nanochat_np.commands import train

    prepare = train.prepare

    def slow(config, note):
        monkeypatch.setattr(train, "prepare", prepare)
        lab.trained(*TINY_GPT, "--steps=3", "--out=run")
        before.update(contents(Path("run")))
        return prepare(config, note)

    before: dict[str, bytes] = {}
    monkeypatch.setattr(train, "prepare", slow)
    assert "--out run: holds a run already" in lab.train(*TINY_GPT, "--steps=9", "--out=run").error(1)
    assert contents(Path("run")) == before


def test_leftovers_of_a_kill_are_removed(lab):
    run = lab.trained(*TINY_GPT, "--steps=2", "--out=run")
    before = contents(run).keys()
    half = run / "checkpoints" / ".step_000001.77.tmp"
    half.mkdir()
    (half / "model.safetensors").write_bytes(b"half")
    for path in (run / ".config.json.77.tmp", run / ".metrics.jsonl.77.tmp", run / "checkpoints/.latest.77.tmp"):
        path.write_bytes(b"half")
    assert lab.resume("--out=run").code == 0
    assert contents(run).keys() == before
    assert not half.exists()


def test_a_run_is_what_has_a_config_or_a_checkpoint(tmp_path):
    folder = RunFolder(tmp_path / "run")
    assert not folder.holds_run()
    with folder:
        assert not folder.holds_run()
        folder.write_json("config.json", {})
    assert folder.holds_run()
    (folder.checkpoints / "step_000001").mkdir(parents=True)
    folder.config_path.unlink()
    assert folder.holds_run()


@pytest.mark.parametrize("out", ["file", "file/run", "/dev/null/run", "x" * 300, "/proc/run"])
def test_a_place_that_cannot_be_written(lab, out):
    Path("file").write_text("precious")
    for resume in ((), ("--resume",)):
        message = lab.train(*TINY_GPT, "--steps=2", f"--out={out}", *resume).error(1)
        assert f"--out {out}: cannot be " in message
    assert contents(Path()) == {"file": b"precious"}


@pytest.mark.parametrize("out", ["run", "a/b/c", "./run/", "absolute"])
def test_a_place_that_is_made(lab, tmp_path, out):
    out = str(tmp_path / "x/y") if out == "absolute" else out
    summary = lab.train(*TINY_GPT, "--steps=1", f"--out={out}", "--json").summary
    assert Path(summary["out"]) == Path(out)
    assert Path(summary["checkpoint"]) == Path(out) / "checkpoints/step_000001"
    assert load(Path(summary["checkpoint"])).meta.step == 1


def test_a_folder_with_other_things_in_it(lab):
    Path("run/checkpoints").mkdir(parents=True)
    Path("run/notes.txt").write_text("mine")
    lab.trained(*TINY_GPT, "--steps=1", "--out=run")
    assert Path("run/notes.txt").read_text() == "mine"


def test_default_folders_do_not_collide(lab, monkeypatch):
    monkeypatch.setattr(run_folder.time, "strftime", lambda pattern: "NOW")
    assert [str(new_path("train_x")) for _ in range(3)] == [f"results/train_x_NOW{end}" for end in ("", "-2", "-3")]
    assert lab.train(*FUSED, "--steps=1", "--json").summary["out"] == "results/train_bigram_NOW"
    assert lab.train(*FUSED, "--steps=1", "--json").summary["out"] == "results/train_bigram_NOW-2"


def test_results_that_is_a_file(lab):
    Path("results").touch()
    assert "results/train_" in lab.train(*TINY_GPT, "--steps=1").error(1)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_a_disk_that_fills_under_the_metrics(lab, monkeypatch):
    run = lab.trained(*TINY_GPT, "--steps=3", "--lr-schedule=constant", "--out=run")
    before = contents(run / "checkpoints")

    def full(path, mode):
        return open("/dev/full" if mode == "ab" else path, mode)

    with monkeypatch.context() as patch:
        patch.setattr(run_folder, "open", full, raising=False)
        message = lab.resume("--out=run", "--steps=9").error(3)
    assert message == "error: cannot write run/metrics.jsonl: No space left on device"
    assert contents(run / "checkpoints") == before
    lab.trained(*TINY_GPT, "--steps=9", "--lr-schedule=constant", "--out=whole")
    assert lab.resume("--out=run", "--steps=9").code == 0
    assert step_lines(run) == step_lines(Path("whole"))


@pytest.mark.parametrize(
    ("file", "code", "words"),
    [
        ("config.json", 3, "cannot write run/config.json"),
        ("env.json", 3, "cannot write run/env.json"),
        ("summary.json", 3, "cannot write run/summary.json"),
        ("model.safetensors", 4, "cannot save checkpoint run/checkpoints/step_000004; older ones are untouched"),
        ("state.safetensors", 4, "cannot save checkpoint run/checkpoints/step_000004; older ones are untouched"),
        ("latest", 4, "cannot save checkpoint run/checkpoints/step_000004; older ones are untouched"),
    ],
)
@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="needs /proc")
def test_a_disk_that_fills(lab, monkeypatch, file, code, words):
    run = lab.trained(*TINY_GPT, "--steps=2", "--lr-schedule=constant", "--out=run")
    synced = os.fsync

    def full(descriptor: int) -> None:
        if file in Path(f"/proc/self/fd/{descriptor}").readlink().name:
            os.truncate(descriptor, 9)
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        synced(descriptor)

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        message = lab.resume("--out=run", "--steps=4").error(code)
    assert message == f"error: {words}: No space left on device"
    assert not list(run.rglob("*.tmp"))
    for folder in step_folders(run / "checkpoints"):
        load(folder)
    assert lab.resume("--out=run", "--steps=4", "--json").summary["steps"] == 4
    assert [event["step"] for event in events(run, "step")] == [1, 2, 3, 4]


@pytest.mark.parametrize(
    "torn", [b"", b'{"event":"st', b'{"event":"step","step":0}', b'{"step":"x"}\n', b"\xff\n", b"\0" * 9]
)
def test_metrics_are_kept_up_to_where_training_stands(tmp_path, torn):
    """Steps up to it, and what is saved and validated after a step only of earlier ones: both come again."""
    path = tmp_path / "metrics.jsonl"
    lines = [b'{"event":"%s","step":%d}\n' % (kind, n) for n in range(4) for kind in (b"step", b"checkpoint", b"eval")]
    for step, kept in ((2, 7), (0, 1), (3, 10)):
        path.write_bytes(b"".join(lines) + torn)
        with RunFolder(tmp_path) as folder:
            folder.open_metrics(step)
            folder.log([{"event": "checkpoint", "step": step}])
        assert path.read_bytes() == b"".join(lines[:kept]) + b'{"event":"checkpoint","step":%d}\n' % step


def test_log_takes_what_it_is_given(tmp_path):
    with RunFolder(tmp_path) as folder:
        folder.open_metrics(0)
        folder.log({"event": "step", "step": n, "loss": 0.1 + n} for n in range(3))
        folder.log([])
        assert [event["loss"] for event in events(tmp_path)] == [0.1, 1.1, 2.1]  # before the file is closed


def test_errors_are_told_with_what_was_done(tmp_path):
    (tmp_path / "metrics.jsonl").mkdir()
    with (
        RunFolder(tmp_path) as folder,
        pytest.raises(RunError, match=f"cannot write {tmp_path}/metrics.jsonl: Is a dir"),
    ):
        folder.open_metrics(0)
