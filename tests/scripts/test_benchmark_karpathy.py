"""The whole benchmark with stubs for its sides: every way is run, and what goes wrong is reported."""

import json
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import benchmark_karpathy
import pytest
from karpathy import child, ours, prepare, upstream
from karpathy.work import SHAPES, Command, Figures, Record, Run, Task

from nanochat_np.errors import ConfigError

STEPS = "step 00000/00001 (0%) | loss: 3.0 | lrm: 1 | dt: 1ms | tok/sec: 1,000 | bf16_mfu: 0.00 |\n"
VALIDATION = "Step 00001 | Validation bpb: 2.000000\n"
EVENTS = (
    json.dumps({"event": "step", "step": 1, "loss": 3.0, "tokens_per_sec": 1500.0})
    + "\n"
    + json.dumps({"event": "eval", "step": 1, "val_bpb": 2.02})
    + "\n"
)


def stub(code: str, folder: Path, **variables: str) -> Command:
    return Command([sys.executable, "-S", "-c", code], variables, folder)


@pytest.fixture
def sides(monkeypatch, tmp_path):
    """Stubs for both sides: they print and write what the real ones would."""

    def our_side(run, task, out):
        code = f"import os; os.makedirs({str(out)!r}); open({str(out / 'metrics.jsonl')!r}, 'w').write({EVENTS!r})"
        return stub(code, tmp_path)

    def other_side(run, task, python, checkout):
        if run.mode == "eager":
            return stub("import sys; print('no memory left', file=sys.stderr); sys.exit(1)", tmp_path)
        return stub(f"print({STEPS + VALIDATION!r})", tmp_path)

    monkeypatch.setattr(child, "_TICK", 0.01)
    monkeypatch.setattr(ours, "pretrain", our_side)
    monkeypatch.setattr(upstream, "pretrain", other_side)
    monkeypatch.setattr(prepare, "verified", lambda checkout, ref: ref)
    monkeypatch.setattr(
        prepare, "probe", lambda python, checkout: {"torch": "9.9", "threads": 2, "stand_ins": ["wandb"]}
    )
    monkeypatch.setattr(prepare, "environment", lambda: {"cpu": "a CPU"})
    monkeypatch.setattr(prepare, "data", lambda text, shapes, task: None)
    monkeypatch.setattr(prepare, "base_dirs", lambda shapes, task, upstream: None)
    monkeypatch.setattr(prepare, "_must", lambda *a, **k: pytest.fail("nothing is to be run"))
    monkeypatch.setattr(benchmark_karpathy.report, "plot", lambda report, path: False)


def call(tmp_path, *flags):
    given = ["--upstream-dir=/up", "--upstream-python=/py", f"--work={tmp_path / 'work'}", f"--out={tmp_path / 'out'}"]
    return benchmark_karpathy.main([*given, "--device=cpu", "--configs=a", *flags])


def test_a_side_that_fails_is_reported_beside_the_others(sides, tmp_path, capsys):
    code = call(tmp_path, "--dtypes=float32", "--repeats=1", "--steps=1")
    assert code == 3
    shown = capsys.readouterr()
    assert "1/4 a_ours_default_float32_seed42_1: 1,500 tokens/s, val bpb 2.0200" in shown.err
    assert "2/4 a_upstream_eager_float32_seed42_1: failed: exit code 1" in shown.err
    summary = json.loads((tmp_path / "out" / "summary.json").read_text())
    assert [run["status"] for run in summary["runs"]] == ["ok", "failed", "ok", "ok"]
    by_mode = {each["mode"]: each for each in summary["comparisons"]}
    assert by_mode["compile"]["speed_ratio"] == pytest.approx(1.5)
    assert by_mode["compile"]["bpb_percent"] == pytest.approx(1)
    assert by_mode["compile"]["verdict"] == "within 5%"
    assert by_mode["eager"]["speed_ratio"] is None
    readme = (tmp_path / "out" / "README.md").read_text()
    assert readme in shown.out
    assert "no memory left" in readme
    assert "+1.00 %, within 5%" in readme
    assert (tmp_path / "work" / "stand_ins" / "wandb.py").exists()


@pytest.mark.parametrize("absent", [False, True])
def test_ways_are_taken_in_turn_and_what_is_not_there_yet_is_no_failure(sides, tmp_path, monkeypatch, absent):
    if absent:
        monkeypatch.setattr(ours, "unavailable", lambda run, task: "of the future" * (run.dtype == "bfloat16"))
    flags = ("--dtypes=float32,bfloat16", "--upstream-modes=compile", "--repeats=2", "--steps=1")
    assert call(tmp_path, *flags) == 0
    runs = json.loads((tmp_path / "out" / "summary.json").read_text())["runs"]
    ways = [(each["run"]["side"], each["run"]["dtype"], each["run"]["repeat"], each["status"]) for each in runs]
    once = [
        ("ours", "float32", 1, "ok"),
        ("upstream", "float32", 1, "ok"),
        ("ours", "bfloat16", 1, "not available yet" if absent else "ok"),
        ("upstream", "bfloat16", 1, "ok"),
    ]
    assert ways == once + [(side, dtype, 2, status) for side, dtype, _, status in once]


def test_a_run_without_steps_has_failed(sides, tmp_path, monkeypatch):
    monkeypatch.setattr(upstream, "pretrain", lambda run, task, python, checkout: stub("pass", tmp_path))
    assert call(tmp_path, "--dtypes=float32", "--upstream-modes=compile", "--repeats=1") == 3
    runs = json.loads((tmp_path / "out" / "summary.json").read_text())["runs"]
    assert runs[1]["status"] == "failed"
    assert "reports no steps" in runs[1]["message"]


@pytest.mark.slow
def test_the_chart_is_drawn(tmp_path):
    run = Run(side="ours", mode="default", dtype="float32", shape=SHAPES["a"], seed=1, repeat=1)
    figures = Figures(tokens_per_sec=7.0, losses=[3.0, 2.0])
    about = SimpleNamespace(what="training", shapes=list(SHAPES.values()))
    about.runs = [Record(run=run, status="ok", figures=figures), Record(run=run, status="failed", message="x")]
    assert benchmark_karpathy.report.plot(about, tmp_path / "chart.png")
    assert (tmp_path / "chart.png").read_bytes().startswith(b"\x89PNG")
    about.runs = about.runs[1:]
    assert not benchmark_karpathy.report.plot(about, tmp_path / "none.png")


def test_a_result_is_not_overwritten(sides, tmp_path, capsys):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "summary.json").write_text("{}")
    assert call(tmp_path) == 1
    assert "exists already" in capsys.readouterr().err


def test_a_dry_run_prints_every_command_and_writes_nothing(tmp_path, capsys):
    flags = ("--dry-run", "--configs=a,b", "--repeats=1", "--seeds=42,7")
    assert call(tmp_path, *flags) == 0
    shown = capsys.readouterr().out
    assert list(tmp_path.iterdir()) == []
    assert shown.count("-m nanochat_np pretrain") == 8
    assert shown.count("-m scripts.base_train") == 12
    assert shown.count("drivers/seeded.py 7") == 12
    assert shown.count("TORCHDYNAMO_DISABLE=1") == 8
    assert shown.count("MALLOC_MMAP_MAX_=0") == 8
    assert shown.count("--dtype=bfloat16") == 4
    assert "nanochat_np data prepare --data=stdlib" in shown
    assert "--vocab-size=32768" in shown
    assert call(tmp_path, "--dry-run", "--speed-only", "--repeats=1") == 0
    shown = capsys.readouterr().out
    assert "nanochat_np bench train --n-layer=4" in shown
    assert "drivers/steps.py --n-layer=4" in shown
    assert "data prepare" not in shown


@pytest.mark.parametrize(
    ("flags", "error"),
    [
        (["--configs=a,z"], "--configs a,z: 'z' is none of a, b"),
        (["--dtypes=float16"], "'float16' is none of float32, bfloat16"),
        (["--upstream-modes=fast"], "'fast' is none of eager, compile, tuned"),
        (["--seeds=1,x"], "--seeds 1,x: takes whole numbers"),
        (["--device=tpu"], "--device tpu: takes auto, cpu or cuda"),
    ],
)
def test_flags_that_make_no_sense(tmp_path, capsys, flags, error):
    assert call(tmp_path, "--dry-run", *flags) == 1
    assert error in capsys.readouterr().err


def test_a_gpu_is_required_unless_told_otherwise(monkeypatch):
    def listing(text):
        monkeypatch.setattr(subprocess, "run", lambda *a, **k: subprocess.CompletedProcess(a, 0, stdout=text))

    listing("")
    with pytest.raises(ConfigError, match="--no-require-gpu"):
        benchmark_karpathy.device("auto", required=True)
    with pytest.raises(ConfigError, match="lists no GPU"):
        benchmark_karpathy.device("cuda", required=False)
    assert benchmark_karpathy.device("auto", required=False) == "cpu"
    listing("GPU 0: NVIDIA H200 (UUID: ...)\n")
    assert benchmark_karpathy.device("auto", required=False) == "cuda"
    assert benchmark_karpathy.device("cpu", required=True) == "cpu"


def test_an_interpreter_for_upstream_has_to_be_named(tmp_path, capsys):
    assert benchmark_karpathy.main(["--device=cpu", "--upstream-dir=/up", f"--out={tmp_path / 'out'}"]) == 1
    assert "--upstream-python" in capsys.readouterr().err


def git(folder, *arguments):
    done = subprocess.run(["git", "-C", folder, *arguments], check=True, capture_output=True, text=True)
    return done.stdout.strip()


def test_the_checkout_must_be_at_the_pinned_commit_and_unchanged(tmp_path):
    with pytest.raises(ConfigError, match="no checkout of karpathy/nanochat"):
        prepare.verified(tmp_path, "0" * 40)
    (tmp_path / "scripts").mkdir()
    script = tmp_path / "scripts" / "base_train.py"
    script.write_text("pass\n")
    git(tmp_path, "init", "-q")
    git(tmp_path, "add", ".")
    git(tmp_path, "-c", "user.name=x", "-c", "user.email=x", "commit", "-qm", "x")
    commit = git(tmp_path, "rev-parse", "HEAD")
    assert prepare.verified(tmp_path, commit) == commit
    assert prepare.verified(tmp_path, commit[:10]) == commit
    with pytest.raises(ConfigError, match=f"is at {commit[:12]}, not at {prepare.PINNED[:12]}: git -C"):
        prepare.verified(tmp_path, prepare.PINNED)
    script.write_text("changed\n")
    with pytest.raises(ConfigError, match=r"files differ from the commit: M scripts/base_train.py"):
        prepare.verified(tmp_path, commit)


def test_what_is_prepared_belongs_to_a_text(tmp_path, monkeypatch):
    made = []
    monkeypatch.setattr(prepare, "_must", lambda arguments, *a, **k: made.append(arguments[3]))
    task = Task(steps=1, warmup_steps=40, eval_tokens=1, device="cpu", threads=None, work=tmp_path)
    prepare.data("stdlib", list(SHAPES.values()), task)
    assert made == ["data", "tokenizer", "tokenizer"]
    task.shards.mkdir()
    task.tokenizer(SHAPES["a"]).mkdir()
    (task.tokenizer(SHAPES["a"]) / "bpe.json").touch()
    assert [command[3] for command in prepare.data_commands("stdlib", [SHAPES["a"]], task)] == []
    with pytest.raises(ConfigError, match="was made of --text stdlib"):
        prepare.data("stories", list(SHAPES.values()), task)


def test_a_python_without_pytorch_is_named(tmp_path, monkeypatch):
    monkeypatch.setattr(prepare, "_PROBE", "import a_package_that_nobody_has")
    with pytest.raises(ConfigError, match="No module named 'a_package_that_nobody_has': install it there"):
        prepare.probe(Path(sys.executable), tmp_path)
    with pytest.raises(ConfigError, match="--upstream-python /no/python"):
        prepare.probe(Path("/no/python"), tmp_path)
