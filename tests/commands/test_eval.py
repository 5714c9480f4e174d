"""``eval`` as its user meets it."""

import json

import pytest

from nanochat_np.commands import eval as command
from nanochat_np.interop import huggingface
from nanochat_np.interop.huggingface_tokenizer import write_huggingface_tokenizer
from nanochat_np.kernels import reference_only
from nanochat_np.text import bpe_file
from nanochat_np.train import checkpoint
from nanochat_np.train.checkpoint import Checkpoint
from nanochat_np.train.meta import GPTMeta
from tests.evaluate.test_core import ENTRY, ROWS, bundle
from tests.evaluate.test_tasks import ARC, EVAL, GSM, MMLU, written
from tests.infer.tiny import engine
from tests.interop.models import CLASSIC, CURRENT, TOKENIZER, model

SMALL = ("--quiet", "--data-dir=data", "--max-new-tokens=4", "--device=cpu")


@pytest.fixture(autouse=True)
def _no_kernels(request):
    if "with_kernels" in request.fixturenames:
        yield
        return
    with reference_only():  # those that are not loaded yet would take a second
        yield


@pytest.fixture
def with_kernels():
    """Compiled loops, without which no weights are rounded."""


@pytest.fixture
def models(tmp_path):
    """Two runs of a model that knows nothing, at different steps."""
    for name, step in (("base", 7), ("sft", 9)):
        meta = GPTMeta(
            step=step,
            dtype="float32",
            train_seconds=1.0,
            stage="import",
            model=CURRENT,
            tokenizer=TOKENIZER.fingerprint,
            settings={"data": "stories:3000"},
        )
        content = Checkpoint(meta, model(CURRENT, step).weights, {}, {bpe_file.NAME: bpe_file.encoded(TOKENIZER)})
        checkpoint.save(tmp_path / "results" / name / "checkpoints", content)


@pytest.fixture
def data(tmp_path):
    """A row or two of each benchmark."""
    folder = tmp_path / "data"
    folder.mkdir()
    written(folder, "arc_easy", [ARC | {"answerKey": "2"}])
    written(folder, "arc_challenge", [ARC | {"answerKey": "1"}])
    written(folder, "mmlu", [MMLU, MMLU | {"subject": "art"}])
    written(folder, "gsm8k", [GSM, GSM])
    written(folder, "humaneval", [EVAL])
    return folder


def test_two_models_side_by_side(lab, models, data, tmp_path):
    result = lab(
        "eval",
        *SMALL,
        "--checkpoint=results/base,results/sft",
        "--benchmarks=mmlu,gsm8k,bpb",
        "--out=o",
        "--eval-tokens=300",
    )
    assert result.code == 0, result
    head, *rows = result.out.splitlines()
    assert head.split() == ["benchmark", "base-step_000007", "sft-step_000009"]
    assert [row.split(",")[0] for row in rows[:3]] == ["mmlu", "gsm8k", "bpb"]
    found = json.loads((tmp_path / "o/benchmarks/mmlu.json").read_text())
    assert found["benchmark"] == "mmlu"
    for label in ("base-step_000007", "sft-step_000009"):
        assert found["models"][label]["items"] == 2
        assert set(found["models"][label]["parts"]) == {"art", "history"}
        items = [json.loads(line) for line in (tmp_path / f"o/items/{label}/gsm8k.jsonl").read_text().splitlines()]
        assert [(item["prompt"], item["gold"], item["right"]) for item in items] == [("How many?", "1000", False)] * 2
        assert (tmp_path / f"o/items/{label}/mmlu.jsonl").read_text().count("\n") == 2
    report = (tmp_path / "o/report.md").read_text()
    assert "| benchmark | base-step_000007 | sft-step_000009 |" in report
    assert "## mmlu" in report
    assert json.loads((tmp_path / "o/benchmarks/bpb.json").read_text())["models"]["base-step_000007"]["score"] > 1


def test_what_fails_is_named_and_the_rest_goes_on(lab, models, data, tmp_path):
    (data / "mmlu.jsonl").write_text('{"question": 1}\n')
    (data / "gsm8k.jsonl").unlink()
    result = lab("eval", *SMALL, "--checkpoint=results/sft", "--out=o", "--benchmarks=core,mmlu,gsm8k,arc-easy")
    assert result.code == 3
    assert "error: 3 of 4 benchmarks failed, see o/report.md; the first: sft-step_000009: core: " in result.err
    scores = dict(line.split(", ") for line in result.out.splitlines()[1:5])
    assert [name for name, rest in scores.items() if "FAILED" in rest] == ["core", "mmlu", "gsm8k"]
    report = (tmp_path / "o/report.md").read_text()
    assert "has no core.yaml: download https://" in report
    assert "mmlu.jsonl: line 1: Expected `str`, got `int` - at `$.question`" in report
    assert "has no gsm8k.jsonl" in report
    summary = json.loads((tmp_path / "o/summary.json").read_text())
    results = summary["models"]["sft-step_000009"]["results"]
    assert results["arc-easy"]["score"] in (0.0, 1.0)
    assert results["mmlu"]["score"] is None
    assert len(summary["failed"]) == 3


def test_a_bug_in_one_does_not_cost_the_others(lab, models, data, monkeypatch):
    monkeypatch.setattr("nanochat_np.evaluate.benchmarks.validate_text", lambda *a: 1 // 0)
    result = lab("eval", *SMALL, "--benchmarks=bpb,arc-easy", "--checkpoint=results/sft", "--out=o")
    assert result.code == 3
    assert "bpb: ZeroDivisionError: integer division or modulo by zero" in result.err
    assert result.out.startswith("benchmark")


def test_core_and_chatcore(lab, models, data, tmp_path, monkeypatch):
    pytest.importorskip("yaml")
    bundle(data / "core", [ENTRY], ROWS)
    monkeypatch.setattr("nanochat_np.execute.execution.strongest_layer", lambda: "limits")  # the quickest
    result = lab("eval", *SMALL, "--benchmarks=core,chatcore", "--unsafe-code", "--max-problems=4", "--out=o", "--json")
    assert result.code == 0, result
    (found,) = result.summary["models"].values()
    assert list(found["results"]) == ["core", "arc-easy", "arc-challenge", "mmlu", "gsm8k", "humaneval", "chatcore"]
    core = found["results"]["core"]
    assert (core["items"], core["parts"]["t"]["items"]) == (4, 4)
    assert core["score"] == pytest.approx((core["parts"]["t"]["accuracy"] - 0.25) / 0.75)
    letters = [found["results"][name]["score"] for name in ("arc-easy", "arc-challenge", "mmlu")]
    assert found["results"]["chatcore"]["score"] == pytest.approx(sum((score - 0.25) / 0.75 for score in letters) / 5)


def test_a_hugging_face_folder(lab, data, tmp_path):
    (tmp_path / "hf").mkdir()
    huggingface.write(tmp_path / "hf", CLASSIC, model(CLASSIC).weights, TOKENIZER.bos)
    write_huggingface_tokenizer(tmp_path / "hf", TOKENIZER, CLASSIC.sequence_len)
    result = lab("eval", *SMALL, "--hf=hf", "--benchmarks=arc-easy,bpb", "--data=stories:3000", "--out=o", "--json")
    assert result.code == 0, result
    assert set(result.summary["models"]["hf"]["results"]) == {"arc-easy", "bpb"}


def test_a_text_for_bits_per_byte_is_needed(lab, models, data, monkeypatch):
    unknown = GPTMeta(step=1, dtype="float32", train_seconds=0, stage="import", model=CURRENT, tokenizer="")
    monkeypatch.setattr(command, "load_engine", lambda *a, **k: (engine(), unknown))
    result = lab("eval", *SMALL, "--benchmarks=bpb", "--checkpoint=results/sft", "--out=o")
    assert result.code == 3
    assert "bpb: needs a text: name it with --data" in result.err


@pytest.mark.parametrize(
    ("flags", "code", "reason"),
    [
        (["--checkpoint=nowhere"], 4, "no checkpoint at nowhere"),
        (["--benchmarks=arc,poems"], 1, "--benchmarks arc,poems: expected all, arc, arc-challenge, arc-easy,"),
        (["--out=data"], 1, "--out data: exists already"),
        (["--temperature=3"], 1, "--temperature 3: expected a number, at least 0"),
        (["--num-samples=0"], 1, "--num-samples 0: expected a whole number, at least 1"),
        (["--hf=data"], 4, "config.json: cannot be read"),
        (["--checkpoint="], 1, "--checkpoint"),
        (["--checkpoint=results/sft,nowhere"], 4, "no checkpoint at nowhere"),
    ],
)
def test_what_is_refused(lab, models, data, tmp_path, flags, code, reason):
    before = sorted(tmp_path.rglob("*"))
    result = lab("eval", *SMALL, *flags)
    assert result.code == code, result
    assert reason in result.err
    assert sorted(tmp_path.rglob("*")) == before


def test_two_checkpoints_of_one_name_have_two_labels():
    taken = set()
    assert [
        command._label(command.Path(name), taken) for name in ("/a/x", "/b/x", "/c/run/checkpoints/step_000001")
    ] == [
        "x",
        "x-2",
        "run-step_000001",
    ]


def test_rounded_weights_are_those_that_are_measured(lab, models, with_kernels):
    def bits(*flags):
        out = f"--out=o{len(flags)}{flags[-1:]}"
        given = (*SMALL, "--checkpoint=results/base", "--benchmarks=bpb", "--eval-tokens=300", "--json", out)
        return lab("eval", *given, *flags).summary["models"]["base-step_000007"]["results"]["bpb"]["score"]

    exact, rounded = bits(), bits("--quantize=int8")
    assert exact != rounded
    assert exact == pytest.approx(rounded, rel=0.02)


def test_bf16_is_bfloat16(lab, models, with_kernels):
    given = (*SMALL, "--checkpoint=results/base", "--benchmarks=bpb", "--eval-tokens=300", "--json", "--out=o")
    summary = lab("eval", *given, "--quantize=bf16").summary
    assert "--quantize bfloat16" in summary["invocation"]
