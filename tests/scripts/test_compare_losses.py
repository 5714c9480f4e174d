"""Losses of two trainings from the same weights are set side by side, and a difference is seen."""

import json
from pathlib import Path
from types import SimpleNamespace

import compare_losses
import msgspec
import numpy as np
import pytest
from karpathy import child, prepare, same_weights, upstream
from karpathy.same_weights import Differences, Recording, compare, losses, read_recording
from karpathy.work import SHAPES, Task

from nanochat_np.errors import DataError, RunError
from nanochat_np.nn.gpt_config import initial
from nanochat_np.nn.gpt_scaling import of_depth

MODEL = of_depth(1, head_dim=32, sequence_len=8, vocab_size=40)
WARMUP = 2


@pytest.fixture(scope="module")
def recorded():
    """A recording of our own training: what upstream's would be if both were one."""
    rng = np.random.default_rng(0)
    rows = rng.integers(0, 40, (3, 2, 9), dtype=np.int32)
    weights = initial(MODEL, rng)
    without = Recording(MODEL, weights, rows[..., :-1], rows[..., 1:], [])
    return msgspec.structs.replace(without, losses=list(losses(without, "stories:1000", WARMUP)))


@pytest.fixture
def loader(monkeypatch, recorded):
    """Our loader's batches: those of the recording, which a test may change."""
    batches = [
        SimpleNamespace(inputs=x.copy(), targets=y.copy())
        for x, y in zip(recorded.inputs, recorded.targets, strict=True)
    ]
    monkeypatch.setattr(same_weights, "open_split", lambda data: SimpleNamespace(train=()))
    monkeypatch.setattr(same_weights.bpe_file, "load", lambda path: None)
    monkeypatch.setattr(same_weights, "packed_batches", lambda *about: iter(batches))
    return batches


def test_the_same_training_has_the_same_losses(recorded, loader, tmp_path):
    found = compare(recorded, tmp_path, tmp_path, WARMUP)
    assert found.same_batches
    assert (found.first, found.largest) == (0, 0)
    assert len(found.ours) == len(found.upstream) == 3
    assert len(set(found.ours)) == 3


def test_a_loss_that_differs_is_found(recorded, loader, tmp_path):
    theirs = [recorded.losses[0], recorded.losses[1] / 1.01, recorded.losses[2]]
    found = compare(msgspec.structs.replace(recorded, losses=theirs), tmp_path, tmp_path, WARMUP)
    assert found.largest == pytest.approx(0.01)
    assert (found.first, found.step_of_largest) == (0, 1)


def test_the_first_weights_matter(recorded, loader, tmp_path):
    weights = dict(recorded.weights)
    weights["transformer.wte.weight"] = weights["transformer.wte.weight"] * np.float32(1.1)
    weights["lm_head.weight"] = weights["lm_head.weight"] * np.float32(3)
    found = compare(msgspec.structs.replace(recorded, weights=weights), tmp_path, tmp_path, WARMUP)
    assert found.first > 1e-5


def test_the_warmup_is_that_of_the_recording(recorded, loader, tmp_path):
    assert compare(recorded, tmp_path, tmp_path, 100).largest > 0


def test_the_control_is_how_far_upstream_comes_from_itself(recorded, loader, tmp_path):
    assert compare(recorded, tmp_path, tmp_path, WARMUP).control is None
    nudged = msgspec.structs.replace(recorded, losses=[loss * 1.25 for loss in recorded.losses])
    assert compare(recorded, tmp_path, tmp_path, WARMUP, nudged).control == pytest.approx(0.25)


def test_a_batch_that_differs_is_found(recorded, loader, tmp_path):
    loader[2].targets[1, 7] += 1
    assert not compare(recorded, tmp_path, tmp_path, WARMUP).same_batches


def test_a_recording_is_read_as_it_was_written(recorded, tmp_path):
    fields = ("sequence_len", "vocab_size", "n_layer", "n_head", "n_kv_head", "n_embd", "window_pattern")
    told = {"config": {name: getattr(MODEL, name) for name in fields}, "losses": recorded.losses}
    (tmp_path / "losses.json").write_text(json.dumps(told))
    np.savez(tmp_path / "batches.npz", inputs=recorded.inputs, targets=recorded.targets)
    np.savez(tmp_path / "weights.npz", **recorded.weights)
    found = read_recording(tmp_path)
    assert found.model == MODEL
    assert found.losses == recorded.losses
    np.testing.assert_array_equal(found.inputs, recorded.inputs)
    np.savez(tmp_path / "weights.npz", **{"lm_head.weight": recorded.weights["lm_head.weight"]})
    with pytest.raises(DataError, match="not those of our model"):
        read_recording(tmp_path)


@pytest.fixture
def sides(monkeypatch):
    """No upstream: its run does nothing, its recording is not read."""
    found = prepare.Upstream(None, None, "c" * 40, {"torch": "9.9"})
    monkeypatch.setattr(compare_losses.arguments, "upstream", lambda args, task: found)
    monkeypatch.setattr(prepare, "data", lambda *about: None)
    monkeypatch.setattr(prepare, "base_dirs", lambda *about: None)
    monkeypatch.setattr(prepare, "environment", dict)
    ended = SimpleNamespace(status="ok", message="")
    monkeypatch.setattr(child, "run_child", lambda *about: ended)
    monkeypatch.setattr(compare_losses, "read_recording", lambda folder: None)
    return ended


@pytest.mark.parametrize(("largest", "same", "code"), [(1e-4, True, 0), (2e-3, True, 3), (1e-4, False, 3)])
def test_the_verdict_is_the_exit_code(sides, monkeypatch, tmp_path, capsys, largest, same, code):
    found = Differences(
        same_batches=same, first=0.0, largest=largest, step_of_largest=1, ours=[2.0, 1.0], upstream=[2.0, 1.0]
    )
    monkeypatch.setattr(compare_losses, "compare", lambda *about: found)
    out = tmp_path / "out"
    out.mkdir()
    assert compare_losses.main(["--configs=a", f"--work={tmp_path / 'work'}", f"--out={out}"]) == code
    summary = json.loads((out / "summary.json").read_text())
    assert summary["agree"] == (code == 0)
    assert summary["differences"]["a"]["largest"] == largest
    assert ("the same" if same else "differ") in capsys.readouterr().out


def test_upstream_is_recorded_eager_with_the_flags_of_its_training():
    task = Task(steps=50, warmup_steps=200, eval_tokens=0, device="cpu", threads=None, work=Path("/w"))
    command = upstream.recorded(SHAPES["a"], task, Path("/py"), Path("/up"), Path("/rec"), 1e-7)
    assert command.arguments[1].endswith("drivers/record.py")
    assert command.arguments[2:4] == ["/rec", "1e-07"]
    assert {"--depth=4", "--num-iterations=50", "--warmup-steps=200", "--eval-every=-1"} <= set(command.arguments)
    assert sum(word.startswith("--eval-every") for word in command.arguments) == 1
    assert command.variables["TORCHDYNAMO_DISABLE"] == "1"


def test_a_run_of_upstream_that_fails_is_told(sides, tmp_path, capsys):
    sides.status, sides.message = "failed", "exit code 1\nno module named x"
    assert (
        compare_losses.main(["--configs=a", f"--work={tmp_path / 'work'}", f"--out={tmp_path / 'out'}"])
        == RunError.exit_code
    )
    assert "upstream: failed: exit code 1" in capsys.readouterr().err
