"""What a report finds in folders, whatever their state."""

import json
import os

import pytest

from nanochat_np.errors import DataError
from nanochat_np.report.collect import collect
from tests.report.runs import ENDED, evaluated, lines, run, score, speedrun, step, write


def collected(folder, hourly=None):
    return collect(folder, folder, hourly)


def named(items):
    return {item.name: item for item in items}


def test_a_folder_of_runs(tmp_path):
    report = collected(speedrun(tmp_path), hourly=36.0)
    assert [stage.name for stage in report.stages] == ["pretrain", "midtrain", "sft"]
    pretrain, _, sft = report.stages
    assert (pretrain.ended, pretrain.tokens, pretrain.flops, pretrain.seconds) == (True, 128, 1e6, 63.0)
    assert pretrain.cost_dollars == pytest.approx(0.63)
    assert pretrain.command_line == "python -m nanochat_np pretrain --data 'a b'"
    assert (sft.ended, sft.steps, sft.tokens, sft.flops, sft.train_loss) == (False, 2, 64, None, 0.75)
    assert (sft.train_seconds, sft.seconds, sft.tokens_per_sec, sft.peak_memory_mib) == (1.0, 2.0, 64.0, 7.0)
    totals = report.totals
    assert totals.seconds == {"pretrain": 63.0, "midtrain": 63.0, "sft": 2.0, "tokenizer": 7.0, "eval": 5.0}
    assert (totals.tokens, totals.flops) == (320, 2e6)
    assert totals.cost_dollars == pytest.approx(1.4)
    assert totals.not_counted[0] == "FLOPs of sft, which are not known"
    assert report.environment["commit"]["sft"] == "c" * 12 + "+"
    assert report.environment["CPU"]["sft"] == "a CPU, 2 CPUs"
    assert report.problems == ["eval: midtrain: bpb: no text"]


def test_the_table_compares_what_is_of_the_same_text(tmp_path):
    metrics = named(collected(speedrun(tmp_path)).metrics)
    documents = metrics["documents of stdlib"]
    assert documents.values == {"pretrain": 1.5, "midtrain": 1.25, "sft": 1.75}
    assert documents.best == ["midtrain"]
    conversations = metrics["conversations of generated, tokens of the assistant"]
    assert (conversations.values, conversations.best) == ({"midtrain": 0.25, "sft": 0.5}, ["midtrain"])
    spelling = metrics["spelling"]
    assert (spelling.values, spelling.better, spelling.best) == (
        {"pretrain": 0.0, "midtrain": 0.5},
        "higher",
        ["midtrain"],
    )
    bpb = metrics["bpb, bits per byte"]
    assert (bpb.values, bpb.failed, bpb.better, bpb.best) == (
        {"pretrain": 1.5},
        {"midtrain": "no text"},
        "lower",
        [],
    )


def test_a_run_brings_those_before_it(tmp_path):
    report = collected(speedrun(tmp_path) / "sft")
    assert [stage.name for stage in report.stages] == ["pretrain", "midtrain", "sft"]
    assert "tokenizer" not in report.totals.seconds  # of the folder around it, which was not asked for
    assert [stage.name for stage in collected(tmp_path / "midtrain").stages] == ["pretrain", "midtrain"]


def test_a_base_that_is_not_there_or_goes_in_circles_ends_the_chain(tmp_path):
    alone = run(tmp_path / "sft", "sft", [step(1, 1.0)], base="nowhere/mid")
    report = collected(alone)
    assert [stage.name for stage in report.stages] == ["sft"]
    assert report.problems == [f"{alone}: its base nowhere/mid is no run that is there: what came before is left out"]
    circle = run(tmp_path / "b", "sft", [step(1, 1.0)], base=str(tmp_path / "a"))
    run(tmp_path / "a", "midtrain", [step(1, 1.0)], base=str(circle))
    assert [stage.name for stage in collected(circle).stages] == ["a", "b"]


def test_reinforcement_learning(tmp_path):
    steps = [step(i, 0.0, reward=i / 4) for i in range(1, 5)]
    events = [evaluated(0, val_loss=1.0, val_bpb=0.5, pass_at_1=0.25, pass_at_16=0.5), *steps]
    run(tmp_path / "rl", "rl", [*events, evaluated(4, pass_at_1=0.5, pass_at_16=0.75)], data="arithmetic")
    report = collected(tmp_path / "rl")
    assert named(report.metrics)["pass@16, arithmetic"].values == {"rl": 0.75}
    charts = named(report.stages[0].charts)
    assert charts["reward"].series[0].values == [0.25, 0.5, 0.75, 1.0]
    assert [(each.name, each.values) for each in charts["pass"].series] == [
        ("pass@1", [0.25, 0.5]),
        ("pass@16", [0.5, 0.75]),
    ]


def test_the_character_lab(tmp_path):
    events = [{"event": "step", "step": i, "loss": 3.0, "lr": 0.1} for i in (1, 2)]
    summary = {"steps": 2, "val_bpb": 2.0, "train_seconds": 1.0, "sample": "hi"}
    run(tmp_path / "lab", "train", events, summary, data="pydocs", batch_size=4, block_size=8)
    (stage,) = collected(tmp_path / "lab").stages
    assert (stage.tokens, stage.samples, stage.flops) == (64, {"": "hi"}, None)


def test_what_is_damaged_is_named_in_a_line_and_the_rest_goes_on(tmp_path):
    folder = speedrun(tmp_path)
    write(folder / "pretrain" / "config.json", "{")
    write(folder / "pretrain" / "env.json", {"cpu": 3})
    write(folder / "midtrain" / "summary.json", {"command": "midtrain", "steps": "many"})
    write(folder / "sft" / "metrics.jsonl", '{"event": "step", "step": 9}\n{"event"\n3\n\xff')
    (folder / "eval" / "summary.json").write_bytes(b"\xff")
    report = collected(folder)
    told = {line.split(": ")[0]: line for line in report.problems}
    assert set(told) == {
        str(folder / name)
        for name in (
            *("pretrain/config.json", "pretrain/env.json", "midtrain/summary.json"),
            *("sft/metrics.jsonl", "eval/summary.json"),
        )
    }
    assert "line 2 and 2 more damaged" in told[str(folder / "sft" / "metrics.jsonl")]
    assert all("\n" not in line for line in report.problems)
    assert [(stage.name, stage.steps, stage.ended) for stage in report.stages] == [
        ("pretrain", 4, True),
        ("midtrain", 4, False),
        ("sft", 9, False),
    ]


def test_a_run_that_was_gone_on_with_is_told_from_its_events(tmp_path):
    run(tmp_path / "run", "pretrain", [step(i, 1.0) for i in range(1, 7)], ENDED)
    (stage,) = collected(tmp_path / "run").stages
    assert (stage.ended, stage.steps, stage.tokens, stage.params) == (False, 6, 192, None)


def test_a_run_that_stopped_at_a_number_that_is_not_finite(tmp_path):
    run(tmp_path / "run", "pretrain", [step(1, 1.0), step(2, None), {"event": "not_finite", "step": 2, "what": "loss"}])
    (stage,) = collected(tmp_path / "run").stages
    assert (stage.ended, stage.stopped, stage.train_loss) == (False, "loss", 1.0)


def test_the_newest_evaluation_counts_and_an_older_checkpoint_is_told(tmp_path):
    folder = speedrun(tmp_path)
    summary = json.loads((folder / "eval" / "summary.json").read_text())
    model = {"source": str(folder / "sft" / "checkpoints" / "step_000001"), "step": 1}
    again = {"source": str(folder / "midtrain"), "step": 4, "results": {"spelling": score("spelling", 0.75)}}
    summary["models"] = {"m": {**model, "results": {"spelling": score("spelling", 0.25)}}, "again": again}
    write(folder / "a later one" / "summary.json", summary)
    os.utime(folder / "eval" / "summary.json", (1e9, 1e9))
    report = collected(folder)
    assert named(report.metrics)["spelling"].values == {"pretrain": 0.0, "midtrain": 0.75, "sft": 0.25}
    assert "a later one: has sft at step 1, which is now at 2" in report.problems
    assert report.totals.seconds["a later one"] == 5.0


@pytest.mark.parametrize(
    ("make", "told"),
    [
        (lambda folder: None, "holds no run"),
        (lambda folder: write(folder / "a" / "config.json", "{"), "nothing in it can be read: "),
        (lambda folder: write(folder / "metrics.jsonl", ""), "its files are empty"),
    ],
)
def test_nothing_to_read_is_an_error(tmp_path, make, told):
    make(tmp_path)
    with pytest.raises(DataError, match=told):
        collected(tmp_path)


def test_lines_are_read_as_the_trainer_writes_them(tmp_path):
    write(tmp_path / "r" / "metrics.jsonl", lines([step(1, 2.0), step(2, None), step(3, 4.0)]))
    (chart,) = collected(tmp_path / "r").stages[0].charts
    assert chart.series[0].steps == [1, 2, 3]
    assert str(chart.series[0].values) == "[2.0, nan, 4.0]"
