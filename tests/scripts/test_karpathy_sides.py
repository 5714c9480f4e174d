"""What each side prints is read right, and what they come to is computed right."""

import json
from pathlib import Path

import msgspec
import pytest
from karpathy import ours, upstream
from karpathy.verdict import compare, verdict
from karpathy.work import COMPILED, EAGER, OURS, SHAPES, TUNED, Figures, Record, Run, Task, benched, of_steps

TASK = Task(steps=9, warmup_steps=40, eval_tokens=512, device="cpu", threads=None, work=Path("/w"))
LINE = "step {:05d}/00009 ({:.2f}%) | loss: {} | lrm: 0.03 | dt: 12.10ms | tok/sec: {} | bf16_mfu: 0.00 | epoch: 1\n"


def run(side="ours", mode=OURS, dtype="float32", seed=42, repeat=1, shape="a"):
    return Run(side=side, mode=mode, dtype=dtype, shape=SHAPES[shape], seed=seed, repeat=repeat)


def test_the_shapes_are_upstreams_of_their_depths():
    a, b = SHAPES["a"], SHAPES["b"]
    assert (a.width, a.heads, a.tokens, a.vocab) == (256, 2, 4096, 4096)
    assert (b.width, b.heads, b.tokens, b.vocab) == (384, 3, 2048, 32768)


def test_upstreams_output(tmp_path):
    losses = [5.0, 4.0, 4.5, 2.0]
    printed, total = [], 0.0
    for t, loss in enumerate(losses):
        total = 0.9 * total + 0.1 * loss
        printed.append(f"{total / (1 - 0.9 ** (t + 1)):.6f}")
    rates = ("10", "1,000", "1,200", "1,100")
    steps = [LINE.format(t, t, loss, rate) for t, (loss, rate) in enumerate(zip(printed, rates, strict=True))]
    out = tmp_path / "out"
    first = "Scaling\nStep 00000 | Validation bpb: 3.100000\n"
    out.write_text(first)
    assert not upstream.has_begun(out)
    with pytest.raises(ValueError, match="no steps"):
        upstream.trained(out)
    out.write_text(first + steps[0][:30])
    assert not upstream.has_begun(out)
    out.write_text(first + "".join(steps) + "Step 00004 | Validation bpb: 1.234567\nPeak memory usage: 0.00MiB\n")
    assert upstream.has_begun(out)
    found = upstream.trained(out)
    assert found.losses == pytest.approx(losses, abs=5e-5)
    assert found.step_tokens_per_sec == [10, 1000, 1200, 1100]
    assert found.tokens_per_sec == 1150  # the first two of four are not counted
    assert found.val_bpb == 1.234567
    assert not upstream.has_begun(tmp_path / "none")


def test_our_metrics(tmp_path):
    assert not ours.has_begun(tmp_path)
    events = [{"event": "eval", "step": 0, "val_bpb": 3.0}]
    events += [{"event": "step", "step": t, "loss": 9.0 - t, "tokens_per_sec": float(t)} for t in range(1, 13)]
    events += [{"event": "checkpoint", "step": 12}, {"event": "eval", "step": 12, "val_bpb": 2.0}]
    lines = [json.dumps(event) + "\n" for event in events]
    metrics = tmp_path / "metrics.jsonl"
    metrics.write_text(lines[0] + lines[1][:20])
    assert not ours.has_begun(tmp_path)
    metrics.write_text("".join(lines))
    assert ours.has_begun(tmp_path)
    found = ours.trained(tmp_path)
    assert (found.tokens_per_sec, found.val_bpb, len(found.losses)) == (9.0, 2.0, 12)  # of 6 to 12
    metrics.write_text(lines[0])
    with pytest.raises(ValueError, match="no steps"):
        ours.trained(tmp_path)


@pytest.mark.parametrize(("rates", "median"), [([7.0], 7.0), ([1.0, 3.0], 3.0), ([0.0] * 5 + [4.0, 6.0, 5.0] * 2, 5.0)])
def test_first_steps_are_not_counted(rates, median):
    assert of_steps(rates, [], None).tokens_per_sec == median


def test_speed_is_read_from_the_last_line(tmp_path):
    out = tmp_path / "out"
    out.write_text("noise\n" + json.dumps({"tokens_per_sec": 9, "fwd_bwd_tokens_per_sec": 10, "ms": {"optimizer": 4}}))
    assert benched(out) == Figures(tokens_per_sec=9, fwd_bwd_tokens_per_sec=10, optimizer_ms=4)
    for wrong in ("", "{}", "[1]", "noise"):
        out.write_text(wrong)
        with pytest.raises(ValueError):  # noqa: PT011, of json as well
            benched(out)


def test_both_sides_get_the_same_task():
    mine = ours.pretrain(run(), TASK, Path("/out")).arguments
    theirs = upstream.pretrain(run("upstream", COMPILED), TASK, Path("/py"), Path("/up")).arguments
    shared = {word for word in mine if word.startswith("--")} & {word for word in theirs if word.startswith("--")}
    assert {word.partition("=")[0] for word in shared} == {
        "--depth",
        "--head-dim",
        "--max-seq-len",
        "--device-batch-size",
        "--total-batch-size",
        "--num-iterations",
        "--warmup-steps",
        "--eval-every",
        "--eval-tokens",
        "--save-every",
    }
    assert theirs[:3] == ["/py", "-m", "scripts.base_train"]


def test_eager_compiles_nothing_and_other_seeds_go_through_a_driver():
    eager = upstream.pretrain(run("upstream", EAGER, "bfloat16"), TASK, Path("/py"), Path("/up"))
    compiled = upstream.pretrain(run("upstream", COMPILED, seed=7), TASK, Path("/py"), Path("/up"))
    tuned = upstream.pretrain(run("upstream", TUNED, seed=7), TASK, Path("/py"), Path("/up"))
    more = {"MALLOC_MMAP_MAX_": "0", "MALLOC_TRIM_THRESHOLD_": "17179869184"}
    assert tuned.variables == compiled.variables | more
    assert tuned.arguments == [word.replace("compile", "tuned") for word in compiled.arguments]
    switches = {"TORCH_COMPILE_DISABLE", "TORCHDYNAMO_DISABLE"}
    assert switches <= eager.variables.keys()
    assert not switches & compiled.variables.keys()
    assert eager.variables["NANOCHAT_DTYPE"] == "bfloat16"
    assert eager.variables["NANOCHAT_BASE_DIR"] == "/w/upstream_4096"
    assert compiled.arguments[1].endswith("drivers/seeded.py")
    assert compiled.arguments[2] == "7"
    assert eager.folder == Path("/up")


def test_what_we_cannot_do_yet_is_said():
    on_gpu = msgspec.structs.replace(TASK, device="cuda")
    assert ours.unavailable(run(dtype="bfloat16"), on_gpu) == "training in bfloat16 on a GPU is not available yet"
    assert ours.unavailable(run(dtype="bfloat16"), TASK) == ours.unavailable(run(), on_gpu) == ""


@pytest.mark.parametrize(
    ("percent", "said"),
    [
        (-5.1, "better by more than 5%"),
        (-5.0, "within 5%"),
        (0.0, "within 5%"),
        (5.0, "within 5%"),
        (5.1, "worse by more than 5%"),
    ],
)
def test_verdicts(percent, said):
    assert verdict(percent) == said


def record(of, status="ok", message="", rate=None, bpb=None, **measured):
    figures = None if rate is None else Figures(tokens_per_sec=rate, val_bpb=bpb)
    return Record(run=of, status=status, message=message, figures=figures, **measured)


def test_a_comparison_is_of_medians():
    records = [
        *(record(run(repeat=n), rate=rate, bpb=1.02, process_mib=100.0) for n, rate in enumerate((100, 900, 120))),
        *(record(run("upstream", EAGER, repeat=n), rate=rate, bpb=1.0) for n, rate in enumerate((60, 50, 10))),
        *(record(run("upstream", COMPILED, repeat=n), rate=80, bpb=0.9) for n in range(2)),
        record(run("upstream", COMPILED, repeat=2), "failed", "exit code 1\nno compiler"),
    ]
    eager, compiled = compare(records)
    assert (eager.shape, eager.dtype, eager.mode) == ("a", "float32", EAGER)
    assert eager.speed_ratio == pytest.approx(120 / 50)
    assert (eager.ours.runs, eager.ours.slowest, eager.ours.fastest, eager.ours.process_mib) == (3, 100, 900, 100)
    assert eager.bpb_percent == pytest.approx(2)
    assert eager.verdict == "within 5%"
    assert (compiled.upstream.runs, compiled.upstream.problem) == (2, "failed: exit code 1")
    assert compiled.bpb_percent == pytest.approx(100 * (1.02 / 0.9 - 1))
    assert compiled.verdict == "worse by more than 5%"


def test_a_side_without_figures_is_not_compared():
    missing = record(run(dtype="bfloat16"), "not available yet", "training in bfloat16 is not available yet")
    (found,) = compare([missing, record(run("upstream", COMPILED, "bfloat16"), rate=7, bpb=1.0)])
    assert (found.speed_ratio, found.bpb_percent, found.verdict) == (None, None, None)
    assert found.ours.problem.startswith("not available yet: ")
    assert found.upstream.tokens_per_sec == 7
    (alone,) = compare([record(run("upstream", COMPILED), rate=7)])
    assert alone.ours.problem == "not run"


def test_parts_of_a_step_are_compared():
    mine = Record(run=run(), status="ok", figures=Figures(tokens_per_sec=8, fwd_bwd_tokens_per_sec=10, optimizer_ms=5))
    theirs = Record(
        run=run("upstream", EAGER),
        status="ok",
        figures=Figures(tokens_per_sec=4, fwd_bwd_tokens_per_sec=4, optimizer_ms=20),
    )
    (found,) = compare([mine, theirs])
    assert (found.speed_ratio, found.fwd_bwd_ratio, found.optimizer_ratio) == (2, 2.5, 4)
