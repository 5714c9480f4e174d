"""``midtrain`` and ``sft`` through the command line: what they take over, what is learnt, and how they go on."""

import json
import shutil
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from nanochat_np.cli import main
from nanochat_np.config import PretrainConfig
from nanochat_np.data import corpus
from nanochat_np.evaluate.tasks import GENERATED_TASKS
from nanochat_np.nn import gpt
from nanochat_np.tasks import batches, words
from nanochat_np.tasks.batches import mixed_batches
from nanochat_np.tasks.mixture import open_mixtures
from nanochat_np.text import bpe_file
from nanochat_np.train import checkpoint, fine_tune, plan
from nanochat_np.train.checkpoint import load, step_folders
from nanochat_np.train.meta import GPTMeta
from tests.train.lab import TINY_PRETRAIN, events, final_bytes, flip, quicken

FEW_STEPS = (
    *("--quiet", "--num-iterations=6", "--eval-every=0", "--save-every=0", "--sample-tokens=0", "--eval-tokens=64"),
    *("--max-seq-len=64", "--total-batch-size=256", "--warmup-steps=2"),
)


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    """A pretrained model."""
    folder = tmp_path_factory.mktemp("base") / "run"
    with pytest.MonkeyPatch.context() as patch:
        quicken(patch)
        flags = ("--num-iterations=3", "--eval-every=0", "--save-every=0", "--sample-tokens=0", "--dtype=float32")
        assert main(["pretrain", *TINY_PRETRAIN, *flags, f"--out={folder}"]) == 0
    return folder


@pytest.fixture
def tune(lab, base, monkeypatch):
    """Calls of a stage on that model, of few steps except for what the flags say; few conversations are waiting."""
    monkeypatch.setattr(words, "load_corpus", lambda name: corpus.load_corpus("stories"))
    monkeypatch.setattr(batches, "packed_batches", partial(batches.packed_batches, waiting_documents=20))
    monkeypatch.setattr(fine_tune, "packed_batches", partial(batches.packed_batches, waiting_documents=20))
    monkeypatch.setattr(fine_tune, "mixed_batches", partial(mixed_batches, waiting_conversations=10))
    words.english.cache_clear()

    def call(*flags, stage="sft", code=0):
        names = {flag.partition("=")[0] for flag in flags}
        quick = [flag for flag in (*FEW_STEPS, f"--base={base}") if flag.partition("=")[0] not in names]
        result = lab(stage, *(quick if "--resume" not in names else ["--quiet"]), *flags)
        assert result.code == code, result
        out = [flag for flag in flags if flag.startswith("--out=")]
        return result.error(code) if code else Path(out[0].removeprefix("--out=")) if out else result

    yield call
    words.english.cache_clear()


def newest(run):
    return load(step_folders(run / "checkpoints")[0])


def final_summary(run):
    return json.loads((run / "summary.json").read_text())


def test_a_chain_of_stages(tune, base):
    mid = tune("--out=mid", "--eval-every=3", "--sample-tokens=3", stage="midtrain")
    sft = tune("--out=sft", f"--base={mid}", "--docs-fraction=0.25")
    summaries = [final_summary(run) for run in (base, mid, sft)]
    assert [one["command"] for one in summaries] == ["pretrain", "midtrain", "sft"]
    assert [one["loss_on"] for one in summaries[1:]] == ["all", "assistant"]
    assert [newest(run).meta.stage for run in (base, mid, sft)] == ["pretrain", "midtrain", "sft"]
    assert [newest(run).meta.updates for run in (base, mid, sft)] == [3, 9, 15]
    assert bpe_file.load(sft / "tokenizer") == bpe_file.load(base / "tokenizer")
    assert [event["step"] for event in events(mid, "eval")] == [0, 3, 6]
    assert all({"val_loss", "val_bpb", "docs_bpb"} <= set(event) for event in events(mid, "eval"))
    assert summaries[1]["docs_bpb"] == events(mid, "eval")[-1]["docs_bpb"]
    assert summaries[1]["docs"] == summaries[2]["docs"] == "stories:20000"
    assert {event["prompt"] for event in events(mid, "sample")} == set(fine_tune.PROMPTS)
    assert not events(sft, "sample")


def test_the_loss_is_that_of_the_assistants_tokens(tune, base):
    """The first step's loss and the validation, from the base's weights and batches made here."""
    run = tune("--out=run", "--num-iterations=1", "--seed=3", "--docs-fraction=0", "--dtype=float32", "--eval-every=1")
    found, tokenizer = newest(base), bpe_file.load(base / "tokenizer")
    mixtures = open_mixtures("generated", 3, "sft")
    expected = []
    for mixture, batch_count in ((mixtures.train, 2), (mixtures.validation, 1)):
        made = mixed_batches(
            mixture, (), tokenizer, 2, 64, documents_share=0, learn_all=False, waiting_conversations=10
        )
        nats = count = 0
        for batch, _ in zip(made, range(batch_count), strict=False):
            losses = gpt.losses(found.weights, _longer(found.meta.model), batch.inputs, batch.targets)
            nats += losses.sum()
            count += (batch.targets >= 0).sum()
        expected.append(nats / count)
    assert events(run, "step")[0]["loss"] == pytest.approx(expected[0], rel=1e-5)
    assert events(run, "eval")[0]["val_loss"] == pytest.approx(expected[1], rel=1e-5)


def _longer(model):
    return type(model)(**{**{name: getattr(model, name) for name in model.__struct_fields__}, "sequence_len": 64})


def test_it_learns(tune):
    run = tune("--out=run", "--num-iterations=40", "--data=identity", "--warm-optimizer=false", "--init-lr-frac=30")
    losses = [event["loss"] for event in events(run, "step")]
    assert np.mean(losses[-5:]) < 0.7 * losses[0]


LORA = ("--lora-rank=2", "--lora-alpha=4", "--dtype=float32")


@pytest.mark.parametrize(
    ("stage", "flags"),
    [
        ("sft", ()),
        pytest.param("midtrain", ("--no-warm-optimizer",), marks=pytest.mark.slow),
        pytest.param("sft", LORA, marks=pytest.mark.slow),
    ],
)
def test_a_resumed_run_is_the_undisturbed_one(tune, stage, flags):
    common = ("--save-every=1", "--eval-every=2", "--sample-every=2", "--sample-tokens=2", "--keep=0", *flags)
    whole = tune("--out=whole", "--docs-fraction=0.3", *common, stage=stage)
    for last in (0, 1, 4):
        run = Path(f"run_{last}")
        shutil.copytree(whole, run)
        for folder in step_folders(run / "checkpoints")[: 6 - last]:
            shutil.rmtree(folder)
        tune("--resume", f"--out={run}", stage=stage)
        assert final_bytes(run) == final_bytes(whole)
        assert newest(run).meta.position == newest(whole).meta.position
        assert [e for e in events(run) if e["event"] != "checkpoint" or e["step"] > last] == [
            e for e in events(whole) if e["event"] != "checkpoint" or e["step"] > last
        ]


@pytest.mark.slow
def test_a_run_that_was_killed_before_its_first_checkpoint(tune):
    whole = tune("--out=whole")
    shutil.copytree(whole, "run")
    shutil.rmtree("run/checkpoints")
    tune("--resume", "--out=run")
    assert final_bytes(Path("run")) == final_bytes(whole)


@pytest.mark.slow
def test_a_run_goes_on_without_its_base(tune, base):
    shutil.copytree(base, "base")
    run = tune("--out=run", "--base=base", "--save-every=3", "--keep=0")
    whole = final_bytes(run)
    shutil.rmtree("base")
    flip(run / "checkpoints/step_000006/model.safetensors")
    tune("--resume", "--out=run")
    assert final_bytes(run) == whole
    shutil.rmtree(run / "checkpoints")
    assert "no checkpoint at base" in tune("--resume", "--out=run", code=4)


def test_the_optimizer_goes_on_where_the_base_stopped(tune, base):
    """A step at no rate leaves weights as they are; moments have then moved on from the base's, or from nothing."""
    still = ("--init-lr-frac=0", "--num-iterations=1", "--docs-fraction=0")
    warm, cold = newest(tune("--out=warm", *still)), newest(tune("--out=cold", *still, "--warm-optimizer=false"))
    start = newest(base)
    assert [one.meta.updates for one in (warm, cold)] == [4, 1]
    for one in (warm, cold):
        assert all((one.weights[name] == start.weights[name]).all() for name in start.weights)
    name = "m.lm_head.weight"
    np.testing.assert_allclose(warm.state[name] - cold.state[name], 0.8 * start.state[name], rtol=1e-4, atol=1e-9)
    momenta = [events(Path(run), "step")[0]["momentum"] for run in ("warm", "cold")]
    assert momenta == [0.95, 0.85]


def test_lora_changes_the_chosen_matrices_by_its_rank_and_goes_on_bit_for_bit(tune, base):
    common = (*LORA, "--lora-on=attn.c_q,mlp", "--num-iterations=3", "--save-every=2", "--keep=0")
    run = tune("--out=run", "--docs-fraction=0.3", *common)
    start, end, summary = newest(base), newest(run), final_summary(run)
    changed = [name for name in start.weights if (end.weights[name] != start.weights[name]).any()]
    assert changed == sorted(f"transformer.h.0.{part}.weight" for part in ("attn.c_q", "mlp.c_fc", "mlp.c_proj"))
    for name in changed:
        product = 2.0 * end.state[f"b.{name}"] @ end.state[f"a.{name}"]
        np.testing.assert_allclose(end.weights[name] - start.weights[name], product, atol=1e-6)
    assert (summary["optimizer"], summary["lora_rank"], summary["trained_params"]) == ("adamw", 2, 2 * (64 + 160 + 160))
    assert end.meta.updates == 3
    assert sum(array.size for array in end.state.values()) == 3 * summary["trained_params"]
    whole = final_bytes(run)
    shutil.rmtree(run / "checkpoints/step_000003")
    tune("--resume", f"--out={run}")
    assert final_bytes(run) == whole


@pytest.mark.slow
def test_stages_after_lora_begin_with_its_weights_and_the_optimizer_of_its_base(tune, base):
    tune("--out=run", *LORA)
    for name, flags in (("all", ()), ("again", LORA)):
        found = newest(tune(f"--out={name}", "--base=run", "--init-lr-frac=0", *flags))
        assert all((values == found.weights[name]).all() for name, values in newest(Path("run")).weights.items())
        assert (found.meta.settings["optimizer"], found.meta.settings["warm_optimizer"]) == ("muon", False)
        assert found.meta.settings["matrix_lr"] == newest(Path("run")).meta.settings["matrix_lr"] > 0
        assert found.meta.updates == 6


@pytest.mark.slow
def test_lora_learns(tune):
    """From a model that is trained already: a head that is still near 0 lets nothing through."""
    tune("--out=first", "--num-iterations=60", "--data=spelling", "--warm-optimizer=false", "--init-lr-frac=30")
    flags = ("--data=identity", "--lora-rank=8", "--lora-lr=0.03", "--docs-fraction=0")
    run = tune("--out=run", "--base=first", "--num-iterations=60", "--eval-every=60", *flags)
    before, after = (event["val_loss"] for event in events(run, "eval"))
    assert after < 0.8 * before


def test_rates_are_those_that_the_base_trained_with(tune, base):
    settings = newest(tune("--out=mid", stage="midtrain")).meta.settings
    of_base = PretrainConfig(**newest(base).meta.settings)
    rates = plan.plan(of_base, 300).rates
    for name in ("embedding", "unembedding", "matrix", "scalar"):
        assert settings[f"{name}_lr"] == getattr(rates, name)
    sft = newest(tune("--out=sft", "--base=mid", "--matrix-lr=0.5")).meta.settings
    assert (sft["embedding_lr"], sft["matrix_lr"]) == (rates.embedding, 0.5)
    assert [event["lrm"] for event in events(Path("sft"), "step")] == pytest.approx(
        [0.4, 0.8, 0.8, 0.8, 0.8 * 2 / 3, 0.8 / 3]
    )
    assert {event["weight_decay"] for event in events(Path("sft"), "step")} == {0.0}


def test_an_imported_model_can_be_tuned(tune, base):
    found = load(step_folders(base / "checkpoints")[0])
    model = found.meta
    meta = GPTMeta(
        step=7, dtype="float32", train_seconds=1.0, stage="import", model=model.model, tokenizer=model.tokenizer
    )
    checkpoint.save(
        Path("there/checkpoints"), checkpoint.Checkpoint(meta=meta, weights=found.weights, state={}, texts=found.texts)
    )
    flags = ("--base=there", "--docs=stories:20000", "--device-batch-size=2")
    settings = newest(tune("--out=run", *flags)).meta.settings
    assert not settings["warm_optimizer"]
    assert (settings["embedding_lr"], settings["matrix_lr"]) == (0.3, 0.02)


@pytest.mark.slow
def test_data_of_ones_own(tune):
    lines = [json.dumps({"instruction": f"say {i}", "response": "yes"}) for i in range(30)]
    Path("mine.jsonl").write_text("\n".join(lines))
    run = tune("--out=run", "--data=mine.jsonl:2,identity", "--save-every=3", "--keep=0")
    assert events(run, "step")[-1]["epoch"] >= 2
    shutil.rmtree(run / "checkpoints/step_000006")
    Path("mine.jsonl").write_text("\n".join(lines * 2))
    assert "mine.jsonl: has 57 conversations to train on and had 28" in tune("--resume", "--out=run", code=2)
    Path("mine.jsonl").write_text("\n".join([*lines, "{"]))
    assert "mine.jsonl: line 31: " in tune("--resume", "--out=run", code=2)


def test_flags_of_a_resumed_run(tune):
    tune("--out=run")
    assert "--seed 1: the run in run has 42" in tune("--resume", "--seed=1", "--out=run", code=1)
    assert "is of a run of sft, not of midtrain" in tune("--resume", "--out=run", stage="midtrain", code=1)
    assert "holds a run already" in tune("--out=run", code=1)
    assert "midtraining comes before" in tune("--base=run", "--out=other", stage="midtrain", code=1)
    tune("--resume", "--num-iterations=8", "--out=run")
    assert [event["step"] for event in events(Path("run"), "step")] == list(range(1, 9))


BAD = {
    "--base=nowhere": (4, "no checkpoint at nowhere"),
    "--data=nowhere": (2, "--data 'nowhere': no such file or folder, nor a generated set"),
    "--data=spelling:x": (1, "after the colon comes the share"),
    "--docs=nowhere": (2, "--docs 'nowhere': no such file or folder"),
    "--docs-fraction=1": (1, "--docs-fraction 1"),
    "--docs-fraction=-0.5": (1, "--docs-fraction -0.5: takes 0 or more, or -1"),
    "--total-batch-size=100": (1, "--total-batch-size 100: not a multiple of the 128 tokens"),
    "--max-seq-len=0": (1, "--max-seq-len 0"),
    "--matrix-lr=-0.1": (1, "--matrix-lr -0.1"),
    "--memory-guard-ratio=0.5": (1, "--memory-guard-ratio 0.5"),
    "--loss-on=user": (1, "--loss-on user"),
    "--sinks=wandb": (1, "--sinks wandb: not installed"),
    "--device=cuda": (1, "--device cuda"),
    "--lora-alpha=8": (1, "--lora-alpha does nothing without --lora-rank"),
    "--lora-rank=2 --optimizer=muon": (1, "--optimizer does nothing with --lora-rank"),
    "--lora-rank=2 --matrix-lr=0.1": (1, "--matrix-lr does nothing with --lora-rank"),
    "--lora-rank=2 --warm-optimizer": (1, "--warm-optimizer does nothing with --lora-rank"),
    "--lora-rank=2 --lora-alpha=0": (1, "--lora-alpha 0: takes more than 0, or -1"),
    "--lora-rank=2 --lora-on=embedding": (1, "--lora-on embedding"),
    "--lora-rank=33": (1, "--lora-rank 33: more than transformer.h.0.attn.c_q.weight of 32 by 32 can have"),
}


@pytest.mark.parametrize("flags", BAD)
def test_bad_flags(tune, flags):
    code, words_of_it = BAD[flags]
    assert words_of_it in tune(*flags.split(), "--out=run", code=code)
    assert not Path("run").exists()


def test_a_base_is_needed(lab):
    assert "sft begins with a trained model: name its run, or a checkpoint, with --base" in lab("sft").error(1)


def test_a_model_of_characters_is_no_base(lab):
    run = lab.trained("--out=run", "--steps=1", "--model-kind=bigram")
    assert "holds a model of characters" in lab("sft", f"--base={run}").error(4)


def test_questions_are_asked_now_and_then_and_at_the_end(tune):
    run = tune("--out=asked", "--task-every=4", "--task-items=1", "--max-seq-len=64")
    asked = events(run, "tasks")
    assert [event["step"] for event in asked] == [4, 6]
    assert set(asked[0]["accuracy"]) == set(GENERATED_TASKS)
    assert asked[0]["task_metric"] == np.mean(list(asked[0]["accuracy"].values()))
    plain = tune("--out=plain", "--max-seq-len=64")
    assert events(plain, "step") == events(run, "step"), "it changes nothing else"
