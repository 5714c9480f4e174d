"""The grid of an ablation, what becomes of errors, and what rows say together."""

import math
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nanochat_np.config import AblateConfig, TrainConfig
from nanochat_np.errors import ConfigError, Interrupted, PromptTooLong, RunError
from nanochat_np.experiments import ablation
from nanochat_np.experiments.ablation import VARIANTS, Failed, Row, grid, run_cell
from nanochat_np.experiments.ablation_files import stem
from nanochat_np.experiments.ablation_summary import Baseline, ranking, spread, variant_results

COUNTING = {"uniform": Baseline(3.0, 4.3), "unigram": Baseline(2.5, 3.6), "bigram": Baseline(2.0, 2.9)}


def row(variant="tied_input_rmsnorm", seed=1, val_loss=1.0, model_kind="bigram"):
    values = {"str": "", "bool": False, "int": 0, "float": 0.0}
    blank = {field.name: values[field.type.__name__] for field in msgspec.structs.fields(Row)}
    given = {"variant": variant, "seed": seed, "val_loss": val_loss, "val_bpb": val_loss, "model_kind": model_kind}
    return Row(**blank | given)


def test_a_cell_has_all_settings_of_the_ablation():
    config = AblateConfig(data="stories", steps=7, lr=0.5, optimizer="sgd", seeds=(3,), dtype="float64", val_tokens=9)
    for cell in grid(config, Path("runs")):
        run = cell.config
        assert (run.data, run.steps, run.lr, run.optimizer) == ("stories", 7, 0.5, "sgd")
        assert (run.dtype, run.val_tokens, run.checkpoint_every, run.sample_tokens) == ("float64", 9, 0, 0)
        assert (run.tie_lm_head, run.input_rmsnorm) == VARIANTS[cell.variant]
        assert run.out == str(Path("runs") / cell.name)


def test_settings_that_are_none_are_filled_for_each_kind():
    cells = grid(AblateConfig(model_kind="both", n_embd=24, seeds=(1,)), Path("runs"))
    bigram, gpt = cells[0].config, cells[-1].config
    assert (bigram.n_embd, bigram.block_size, gpt.n_embd, gpt.block_size) == (None, None, 24, 8)
    for run in (bigram, gpt):
        assert run.lr == TrainConfig(model_kind=run.model_kind).resolved().lr


def test_the_shape_of_a_gpt_is_refused_for_bigrams_alone():
    with pytest.raises(ConfigError, match="--n-embd does not apply"):
        grid(AblateConfig(n_embd=24), Path("runs"))


def test_two_ablations_never_share_their_names():
    assert len({stem(AblateConfig()) for _ in range(100)}) == 100


def test_many_seeds_do_not_make_a_name_too_long():
    name = stem(AblateConfig(seeds=tuple(range(1000, 1300))))
    assert "_seed-1000-and-299-more_" in name
    assert len(f"{name}.jsonl") <= 255


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (RunError("the loss is\nnot finite"), "the loss is not finite"),
        (PromptTooLong(9, 8), "--prompt has 9 tokens"),
        (MemoryError("Unable to allocate 8 GiB"), "out of memory: Unable to allocate 8 GiB"),
        (MemoryError(), "out of memory"),
        (ZeroDivisionError("division by zero"), "ZeroDivisionError: division by zero"),
    ],
)
def test_an_error_becomes_a_line(monkeypatch, error, told):
    def prepare(config):
        raise error

    monkeypatch.setattr(ablation, "prepare", prepare)
    (cell, *_) = grid(AblateConfig(seeds=(5,)), Path("runs"))
    failed = run_cell(cell)
    assert isinstance(failed, Failed)
    assert (failed.model_kind, failed.variant, failed.seed) == ("bigram", "tied_no_input_rmsnorm", 5)
    assert failed.error.startswith(told)
    assert failed.error == " ".join(failed.error.split())


@pytest.mark.parametrize("error", [Interrupted(3, "x"), KeyboardInterrupt()], ids=lambda error: type(error).__name__)
def test_to_be_stopped_is_no_failure(monkeypatch, error):
    def prepare(config):
        raise error

    monkeypatch.setattr(ablation, "prepare", prepare)
    with pytest.raises(KeyboardInterrupt):
        run_cell(grid(AblateConfig(), Path("runs"))[0])


@given(st.lists(st.floats(-1e3, 1e3), min_size=2, max_size=6))
def test_the_standard_deviation_is_that_of_a_sample(values):
    found = spread(values)
    mean = sum(values) / len(values)
    assert math.isclose(found.mean, mean, abs_tol=1e-9)
    assert math.isclose(found.sd**2 * (len(values) - 1), sum((x - mean) ** 2 for x in values), abs_tol=1e-6)


def test_the_standard_deviation_of_one_value_is_unknown():
    assert (spread([3.0]).mean, spread([3.0]).sd) == (3.0, None)


def test_ranks_are_within_a_kind_and_losses_are_compared_with_counting():
    rows = [row("a", val_loss=2.2), row("b", val_loss=1.4), row("b", seed=2, val_loss=2.4), row("c", val_loss=2.6)]
    results = variant_results([*rows, row("c", val_loss=0.1, model_kind="mini-gpt")], COUNTING)
    assert [(v.model_kind, v.variant, v.rank) for v in results] == [
        ("bigram", "a", 2),
        ("bigram", "b", 1),
        ("bigram", "c", 3),
        ("mini-gpt", "c", 1),
    ]
    assert [(v.beats_unigram, v.beats_bigram) for v in results[:3]] == [(True, False), (True, True), (False, False)]
    assert ranking(results) == {"bigram": ["b", "a", "c"], "mini-gpt": ["c"]}


def test_without_rows_there_is_nothing_to_rank():
    assert variant_results([], COUNTING) == []
    assert ranking([]) == {}
