"""A checkpoint is whole or not there, and nothing of it is used that is not as it was written."""

import builtins
import errno
import hashlib
import json
import os
import shutil
from pathlib import Path

import msgspec
import numpy as np
import pytest
import safetensors.numpy

from nanochat_np.backend import files
from nanochat_np.backend.files import remove_leftovers
from nanochat_np.errors import CheckpointError
from nanochat_np.nn.model import ModelConfig, architecture, parameter_count
from nanochat_np.train import character, checkpoint
from nanochat_np.train.checkpoint import MODEL, STATE, Checkpoint, load, save, step_folders
from nanochat_np.train.locate import load_newest, locate, newest_run
from nanochat_np.train.meta import CharacterMeta
from tests.train.lab import TINY_GPT, contents, events, flip

CONFIG = ModelConfig(
    kind="mini-gpt",
    vocab_size=5,
    block_size=3,
    n_layer=1,
    n_head=2,
    n_embd=4,
    tie_lm_head=False,
    input_rmsnorm=True,
)
SHAPES = architecture("mini-gpt").shapes(CONFIG)


@pytest.fixture(autouse=True)
def _no_disk(monkeypatch):
    monkeypatch.setattr(os, "fsync", lambda descriptor: None)


def made(step: int, dtype: str = "float32") -> Checkpoint:
    """A checkpoint whose every number depends on the step."""
    rng = np.random.default_rng(step)
    size = parameter_count(SHAPES)
    meta = CharacterMeta(
        step=step,
        model=CONFIG,
        dtype=dtype,
        style="classic",
        characters="\n aé",
        dataset_sha256="0" * 64,
        train_seconds=0.1 + step,
    )
    weights = {name: rng.normal(size=shape).astype(dtype) for name, shape in SHAPES.items()}
    moments = {name: rng.normal(size=size).astype(dtype) for name in ("m", "v")}
    meta = msgspec.structs.replace(meta, recent_losses=rng.normal(size=7).tolist())
    return Checkpoint(meta=meta, weights=weights, state=moments)


def assert_same(found: Checkpoint, expected: Checkpoint) -> None:
    assert msgspec.structs.replace(found.meta, files={}) == expected.meta
    for arrays, others in ((found.weights, expected.weights), (found.state, expected.state)):
        assert arrays.keys() == others.keys()
        for name, array in arrays.items():
            assert array.dtype == others[name].dtype
            np.testing.assert_array_equal(array, others[name])


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_what_is_saved_is_loaded(tmp_path, dtype):
    folder = save(tmp_path, made(12, dtype))
    assert folder == tmp_path / "step_000012"
    assert {path.name for path in folder.iterdir()} == {MODEL, STATE, "meta.json"}
    assert (tmp_path / "latest").read_text() == "step_000012\n"
    assert_same(load(folder), made(12, dtype))
    meta = json.loads((folder / "meta.json").read_text())["meta"]
    for name in (MODEL, STATE):
        content = (folder / name).read_bytes()
        assert meta["files"][name] == {"bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}


def test_a_view_is_saved_as_its_values(tmp_path):
    saved = made(1)
    weights = {name: np.repeat(array, 2, axis=0)[::2] for name, array in saved.weights.items()}
    assert_same(load(save(tmp_path, msgspec.structs.replace(saved, weights=weights))), saved)


def refused(folder: Path, *words: str) -> None:
    with pytest.raises(CheckpointError) as caught:
        load(folder)
    assert "\n" not in str(caught.value)
    for word in (str(folder), *words):
        assert word in str(caught.value)


@pytest.mark.parametrize("name", [MODEL, STATE, "meta.json"])
def test_a_file_that_is_not_as_it_was_written(tmp_path, name):
    path = save(tmp_path, made(3)) / name
    whole = path.read_bytes()
    for position in range(0, len(whole), 7 if name == "meta.json" else 331):
        for bit in (1, 128):
            path.write_bytes(whole[:position] + bytes([whole[position] ^ bit]) + whole[position + 1 :])
            refused(path.parent, name, "damaged")
    for content in (b"", whole[:-9], whole[: len(whole) // 2], whole + b"x", b"\0" * len(whole), b"null", b"[1]"):
        path.write_bytes(content)
        sizes = f"{len(content)} bytes where {len(whole)} were written"
        as_long = len(content) == len(whole) or name == "meta.json"
        refused(path.parent, name, "damaged" if as_long else sizes)
    path.unlink()
    refused(path.parent, name, "No such file")
    path.mkdir()
    refused(path.parent, name)


def rewritten(folder: Path, meta: dict | None = None, **outer: object) -> None:
    """Change meta.json as a program would that keeps its hash right."""
    content = json.loads((folder / "meta.json").read_text())
    text = json.dumps(content["meta"] | (meta or {})).encode()
    shown = {"format": content["format"], "sha256": hashlib.sha256(text).hexdigest()} | outer
    (folder / "meta.json").write_bytes(json.dumps(shown).encode()[:-1] + b', "meta": ' + text + b"}")


def replaced(folder: Path, name: str, content: bytes) -> None:
    """Put other content in the place of a file, with its size and hash right in meta.json."""
    (folder / name).write_bytes(content)
    recorded = json.loads((folder / "meta.json").read_text())["meta"]["files"]
    recorded[name] = {"bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}
    rewritten(folder, {"files": recorded})


def test_what_a_right_hash_does_not_excuse(tmp_path):
    folder = save(tmp_path, made(3))
    rewritten(folder)
    assert_same(load(folder), made(3))
    before = contents(folder)
    model = msgspec.to_builtins(CONFIG)
    weights, state = made(3).weights, made(3).state
    packed = safetensors.numpy.save
    cases = [
        (lambda: rewritten(folder, format=3), "format 3 is newer", "update"),
        (lambda: rewritten(folder, format=0), "meta.json: damaged"),
        (lambda: rewritten(folder, {"model": model | {"kind": "gpt-9"}}), "unknown model kind 'gpt-9'"),
        (lambda: rewritten(folder, {"model": model | {"n_embd": 8}}), MODEL, "h.0.fc1"),
        (lambda: rewritten(folder, {"model": model | {"kind": "bigram"}}), MODEL, "h.0.fc1"),
        (lambda: rewritten(folder, {"model": model | {"depth": 8}}), "meta.json: damaged", "depth"),
        (lambda: rewritten(folder, {"dtype": "float64"}), MODEL, "F32", "F64"),
        (lambda: rewritten(folder, {"dtype": "int8"}), "meta.json: damaged", "int8"),
        (lambda: rewritten(folder, {"step": "3"}), "meta.json: damaged", "step"),
        (lambda: rewritten(folder, {"files": {}}), "says nothing of model.safetensors"),
        (lambda: replaced(folder, MODEL, b"no tensors"), MODEL, "damaged"),
        (lambda: replaced(folder, STATE, b"\xff" * 40), STATE, "damaged"),
        (lambda: replaced(folder, MODEL, packed(weights | {"wpe": weights["wpe"][:2]})), MODEL, "wpe", "(2, 4)"),
        (lambda: replaced(folder, MODEL, packed(weights | {"extra": weights["wpe"]})), MODEL, "extra", "nothing of it"),
        (lambda: replaced(folder, MODEL, packed({"wte": weights["wte"]})), MODEL, "h.0.fc1", "missing"),
        (lambda: replaced(folder, STATE, packed({"m": state["m"]})), STATE, "v is missing"),
    ]
    for change, *words in cases:
        change()
        refused(folder, *words)
        for name, content in before.items():
            (folder / name).write_bytes(content)
    assert_same(load(folder), made(3))


def test_no_checkpoint(tmp_path):
    for path in (tmp_path / "nothing", tmp_path / "file", tmp_path / ("x" * 300)):
        if path.name == "file":
            path.touch()
        refused(path)


class Killed(BaseException):
    """The process is gone: nothing after it runs, no clean-up either."""


class Fuse:
    """Raises ``error`` at the n-th dealing with the disk: before it, or half-way through a write."""

    def __init__(self, patch: pytest.MonkeyPatch, left: int, error: BaseException) -> None:
        self.left, self.error = left, error
        for module, name in ((os, "fsync"), (os, "replace"), (Path, "mkdir")):
            patch.setattr(module, name, self._guarded(getattr(module, name)))
        patch.setattr(files, "open", self._opened, raising=False)
        if isinstance(error, Killed):
            patch.setattr(shutil, "rmtree", self._guarded(shutil.rmtree))
            patch.setattr(Path, "unlink", self._guarded(Path.unlink))

    def _burn(self) -> None:
        self.left -= 1
        if self.left == 0:
            raise self.error

    def _guarded(self, function):
        def call(*arguments, **options):
            if self.left > 0 or not isinstance(self.error, Killed):
                self._burn()
                function(*arguments, **options)

        return call

    def _opened(self, path, mode):
        self._burn()
        file = builtins.open(path, mode, buffering=0)  # noqa: SIM115, given out
        return Torn(file, self._burn) if mode == "wb" else file


class Torn:
    """A file that may end in the middle of a write."""

    def __init__(self, file, burn) -> None:
        self._file, self._burn = file, burn

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self._file.close()

    def __getattr__(self, name):
        return getattr(self._file, name)

    def write(self, content):
        self._file.write(content[: len(content) // 2])
        self._burn()
        self._file.write(content[len(content) // 2 :])


def points(tmp_path, monkeypatch, error: BaseException) -> range:
    """The dealings of a save with the disk, counted from 1."""
    save(tmp_path / "count", made(2))
    with monkeypatch.context() as patch:
        fuse = Fuse(patch, 10**6, error)
        save(tmp_path / "count", made(2))
    return range(1, 10**6 - fuse.left + 1)


def test_a_kill_at_any_point_of_a_save(tmp_path, monkeypatch):
    outcomes = []
    for point in points(tmp_path, monkeypatch, Killed()):
        folder = tmp_path / f"killed_{point}"
        flip(save(folder, made(3)) / MODEL)  # a damaged one that has to make way
        save(folder, made(1))
        with monkeypatch.context() as patch:
            Fuse(patch, point, Killed())
            with pytest.raises(Killed):
                save(folder, made(3))
        assert load(locate(folder)).meta.step in (1, 3)
        remove_leftovers(folder)
        assert {path.name for path in folder.iterdir()} <= {"step_000001", "step_000003", "latest"}
        path, found = load_newest(folder, lambda text: None)
        assert_same(found, made(found.meta.step))
        outcomes.append(path.name)
        assert_same(load(save(folder, made(3))), made(3))
        assert_same(load(locate(folder)), made(3))
    assert outcomes == sorted(outcomes)
    assert set(outcomes) == {"step_000001", "step_000003"}
    assert len(outcomes) > 15


def test_an_error_at_any_point_of_a_save(tmp_path, monkeypatch):
    error = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    for point in points(tmp_path, monkeypatch, error):
        folder = tmp_path / f"failed_{point}"
        save(folder, made(1))
        with monkeypatch.context() as patch:
            Fuse(patch, point, error)
            with pytest.raises(CheckpointError, match=r"cannot save checkpoint .*step_000002; older") as caught:
                save(folder, made(2))
        assert str(caught.value).endswith("untouched: No space left on device")
        _, found = load_newest(folder, lambda text: None)
        assert_same(found, made(found.meta.step))
        assert not list(folder.glob(".*"))


def test_what_is_written_is_on_the_disk_before_its_name(tmp_path, monkeypatch):
    """Files, then their folder, then the rename, then the folder above: a power cut leaves no name without content."""
    done = []
    fsync, replace = os.fsync, os.replace
    monkeypatch.setattr(os, "fsync", lambda fd: done.append(Path(os.readlink(f"/proc/self/fd/{fd}")).name) or fsync(fd))
    monkeypatch.setattr(os, "replace", lambda a, b: done.append(f"rename {Path(b).name}") or replace(a, b))
    save(tmp_path / "checkpoints", made(1))
    beside, beside_latest = f".step_000001.{os.getpid()}.tmp", f".latest.{os.getpid()}.tmp"
    assert done == [
        MODEL,
        STATE,
        "meta.json",
        beside,
        "rename step_000001",
        "checkpoints",
        beside_latest,
        "rename latest",
        "checkpoints",
    ]


def test_evaluation_reads_the_file_that_was_written(lab, monkeypatch):
    order = []
    for module, name in ((checkpoint, "save"), (checkpoint, "load"), (character, "validate")):
        function = getattr(module, name)
        monkeypatch.setattr(module, name, lambda *a, _f=function, _n=name, **k: order.append(_n) or _f(*a, **k))
    run = lab.trained(*TINY_GPT, "--steps=4", "--eval-every=2", "--checkpoint-every=2", "--out=run")
    assert order == ["validate", *["save", "load", "validate"] * 2]
    kinds = [(event["event"], event["step"]) for event in events(run) if event["event"] != "step"]
    assert kinds == [("eval", 0), ("checkpoint", 2), ("eval", 2), ("checkpoint", 4), ("eval", 4)]


def test_the_figure_is_that_of_the_file(lab, monkeypatch):
    """A checkpoint that is replaced by another sound one before it is read decides the validation loss."""
    lab.trained(*TINY_GPT, "--steps=0", "--out=untrained")
    honest = checkpoint.save

    def swapped(folder: Path, content: Checkpoint) -> Path:
        return honest(
            folder, msgspec.structs.replace(content, weights=load(Path("untrained/checkpoints/step_000000")).weights)
        )

    monkeypatch.setattr(checkpoint, "save", swapped)
    lab.trained(*TINY_GPT, "--steps=30", "--out=run")
    figures = [events(Path(name), "eval")[-1]["val_loss"] for name in ("untrained", "run")]
    assert figures[0] == figures[1]


def test_a_file_that_was_damaged_on_its_way_is_noticed(lab, monkeypatch):
    honest = checkpoint.save

    def damaged(folder: Path, content: Checkpoint) -> Path:
        path = honest(folder, content)
        flip(path / MODEL)
        return path

    monkeypatch.setattr(checkpoint, "save", damaged)
    assert f"step_000003/{MODEL}: damaged" in lab.train(*TINY_GPT, "--steps=3").error(4)


def test_which_checkpoint_is_the_newest(tmp_path):
    folder = tmp_path / "run" / "checkpoints"
    for step in (999_999, 1_000_000, 20):
        save(folder, made(step))
    for other in ("step_5.bak", "step_", "step_²", "steps", ".step_000099.7.tmp"):
        (folder / other).mkdir()
    (folder / "step_7777777").touch()
    assert [path.name for path in step_folders(folder)] == ["step_1000000", "step_999999", "step_000020"]
    # `latest` decides as long as it names one of them.
    for path in (tmp_path / "run", folder):
        assert locate(path) == folder / "step_000020"
        for content in (b"", b"step_000021\n", b"../../other\n", b"\xff\xfe", b"latest", b"/"):
            (folder / "latest").write_bytes(content)
            assert locate(path) == folder / "step_1000000"
        (folder / "latest").unlink()
        assert locate(path) == folder / "step_1000000"
        (folder / "latest").write_text("step_000020")
    assert locate(folder / "step_999999") == folder / "step_999999"


def test_a_folder_without_checkpoints(tmp_path):
    for path in (tmp_path, tmp_path / "run", tmp_path / "run" / "checkpoints"):
        path.mkdir(exist_ok=True)
        with pytest.raises(CheckpointError, match=f"no checkpoint in {path}: train one"):
            locate(path)
    (tmp_path / "step_000001").mkdir()
    with pytest.raises(CheckpointError, match=r"step_000001/meta\.json"):
        load(locate(tmp_path / "step_000001"))
    assert load_newest(tmp_path / "nothing", print) is None


def test_the_newest_run(tmp_path):
    with pytest.raises(CheckpointError, match="no trained model under"):
        newest_run(tmp_path)
    for number, name in enumerate(("old", "young", "empty")):
        folder = tmp_path / name / "checkpoints"
        folder.mkdir(parents=True)
        if name != "empty":
            save(folder, made(1))
        os.utime(folder, (10 * number, 10 * number))
    (tmp_path / "young" / "checkpoints" / "latest").unlink()
    os.utime(tmp_path / "young" / "checkpoints", (9, 9))  # before the empty one
    assert newest_run(tmp_path) == tmp_path / "young"


def test_a_checkpoint_of_a_newer_program_is_neither_passed_over_nor_replaced(lab):
    run = lab.trained(*TINY_GPT, "--steps=4", "--checkpoint-every=2", "--lr-schedule=constant", "--out=run")
    newest = run / "checkpoints" / "step_000004"
    rewritten(newest, format=3)
    before = contents(run)
    assert "format 3 is newer" in lab.resume("--out=run", "--steps=6").error(4)
    assert contents(run) == before


def test_leftovers_are_told_from_files_of_somebody_else(tmp_path):
    for name in (".notes.tmp", ".dir.tmp/file", ".step_notes.1.tmp", "step_000001.1.tmp", ".config.json.tmp"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    before = contents(tmp_path)
    (tmp_path / ".step_000003.77.tmp").mkdir()
    for name in (".step_000003.77.tmp/model", ".latest.8.tmp", ".config.json.12.tmp"):
        (tmp_path / name).touch()
    remove_leftovers(tmp_path)
    assert contents(tmp_path) == before
