"""``bench lab``: what it measures is what it says, and its figures belong together."""

import json

import numpy as np
import pytest

from nanochat_np import kernels, ops
from nanochat_np.backend.device import Device
from nanochat_np.experiments import bench_lab, bench_memory, bench_report
from nanochat_np.experiments.bench_kernels import kernel_cases
from nanochat_np.experiments.bench_memory import train_on
from nanochat_np.experiments.bench_report import duration
from nanochat_np.experiments.bench_training import (
    ALPHABET,
    SCALAR_BIGRAM,
    SCALAR_MINI_GPT,
    Training,
    cases,
    text_tokens,
)
from nanochat_np.experiments.python_autograd import Value, bigram_step
from nanochat_np.experiments.timing import count_for, in_turn, medians
from nanochat_np.kernels import TABLE
from nanochat_np.nn.model import ModelConfig
from nanochat_np.train.trainer import initial_parameters

TOKENS = text_tokens(2000)
CASES = {case.name: case for case in cases(Device())}
SHAPE = {"kind": "mini-gpt", "vocab_size": 5, "block_size": 4, "n_layer": 1, "n_head": 2, "n_embd": 4}


def test_the_text_is_26_letters_after_bos():
    assert set(TOKENS.tolist()) <= set(range(len(ALPHABET) + 1))
    assert TOKENS[0] == 0
    assert len(set(TOKENS.tolist())) > 20
    np.testing.assert_array_equal(TOKENS, text_tokens(2000))


def test_the_cases_of_the_peer_are_its_models_and_its_batch():
    of_peer = {name: case for name, case in CASES.items() if case.peer_seconds}
    assert len(of_peer) == 3
    for case in of_peer.values():
        config = case.config
        assert (config.batch_size, config.tie_lm_head, config.input_rmsnorm) == (1, True, False)
    parameters = {SCALAR_MINI_GPT: 3632, SCALAR_BIGRAM: 729}  # what the peer reports for V = 27
    for name, count in parameters.items():
        assert Training(CASES[name], TOKENS, Device()).trainer.p.size == count


def test_the_tape_is_not_for_a_gpu():
    assert {case.config.mode for case in cases(Device(0))} == {"tensor"}
    assert {case.config.device for case in cases(Device(0))} == {"cuda:0"}


def test_steps_go_on_where_the_last_ended():
    a, b = (Training(CASES[SCALAR_MINI_GPT], TOKENS, Device()) for _ in range(2))
    a.advance(6)
    b.advance(4)
    b.advance(2)
    np.testing.assert_array_equal(a.trainer.p, b.trainer.p)


def test_python_objects_learn_what_the_tape_learns():
    training = Training(CASES[SCALAR_BIGRAM], TOKENS, Device())
    model = training.trainer.config
    table = [[Value(x) for x in row] for row in initial_parameters(model, 1337).reshape(27, 27).tolist()]
    starts = np.arange(0, 40, 2)
    pairs = np.stack([TOKENS[starts], TOKENS[starts + 1]], 1)
    losses = [bigram_step(table, context, target, 0.3) for context, target in pairs.tolist()]
    unclipped = Training(CASES[SCALAR_BIGRAM], TOKENS, Device()).trainer
    unclipped.optimizer = unclipped.optimizer._replace(grad_clip=0.0)
    expected, _ = unclipped.advance(0, starts[:, None], np.full(len(starts), 0.3))
    np.testing.assert_allclose(losses, expected, rtol=1e-12)
    values = [[value.data for value in row] for row in table]
    np.testing.assert_allclose(values, unclipped.p.reshape(27, 27), rtol=1e-9)
    assert losses[0] == pytest.approx(np.log(27), abs=0.02)


def test_a_value_used_twice_has_the_sum_of_its_slopes():
    x = Value(1.5)
    y = x * x + x.exp() * x + (x * x).log()
    y.backward()
    assert x.grad == pytest.approx(2 * 1.5 + np.exp(1.5) * 2.5 + 2 / 1.5)


def test_a_long_chain_of_values_needs_no_recursion():
    y = x = Value(1.0)
    for _ in range(5000):
        y = y + x
    y.backward()
    assert x.grad == 5001


@pytest.mark.parametrize("shape", [{}, {"n_embd": 6, "n_head": 3, "n_layer": 2}])
def test_every_kernel_of_the_table_has_a_line(shape):
    config = ModelConfig(**SHAPE | shape, tie_lm_head=False, input_rmsnorm=True)
    found = kernel_cases(config, 2)
    assert {name.partition(" ")[0] for name in found} == set(TABLE)
    assert all(case.reference(1) > 0 and case.fused(1) > 0 for case in found.values())


@pytest.mark.parametrize(("block_size", "attention_used"), [(4, True), (64, False)])
def test_a_kernel_is_used_where_it_is_what_runs(monkeypatch, block_size, attention_used):
    model = ModelConfig(**SHAPE | {"block_size": block_size}, tie_lm_head=False, input_rmsnorm=True)
    used = {name.partition(" ")[0] for name, case in kernel_cases(model, 2).items() if case.used}
    attention = {"causal_attention", "causal_attention_backward"}
    assert used == set(TABLE) - (set() if attention_used else attention)
    ran, found = set(), kernels.kernel
    monkeypatch.setattr(kernels, "kernel", lambda name: ran.add(name) or found(name))
    q = np.ones((2, 2, block_size, 2), np.float32)
    ops.causal_attention_backward(q, ops.causal_attention(q, q, q)[1])
    assert ran == used & attention


def leak(asked):
    """A training that keeps 1 KiB of every step."""
    advance, kept = Training.advance, []

    def leaking(self, count):
        kept.extend(bytes(1024) for _ in range(count))
        return advance(self, count)

    Training.advance = leaking  # in a process of its own
    return train_on(asked)


@pytest.mark.slow  # two processes that load NumPy and kernels
@pytest.mark.parametrize(("train", "least", "most"), [(train_on, -1.0, 1.0), (leak, 4.5, 6.0)])
def test_a_leak_shows_in_the_memory(monkeypatch, train, least, most):
    monkeypatch.setattr(bench_memory, "train_on", train)
    held = bytearray(300 * 2**20)  # what earlier cases leave behind
    del held
    Training(CASES[SCALAR_MINI_GPT], TOKENS, Device())  # compiled here, so that the process does not have to
    figure = bench_memory.measure_memory(CASES[SCALAR_MINI_GPT], TOKENS, Device(), 5000)
    assert least < (figure.end_bytes - figure.start_bytes) / 2**20 < most
    assert (figure.name, figure.steps) == (SCALAR_MINI_GPT, 5000)


@pytest.mark.parametrize("used", [True, False])
def test_the_tables_say_which_kernels_are_not_used(used):
    figure = bench_lab.KernelFigure("an_operation", "B1", 2e-3, 4e-3, 0.5, used)
    figures = bench_lab.LabFigures(training=[], python_over_tape=None, kernels=[figure], start_up={}, memory=[])
    text = bench_report.report(figures)
    assert ("4.00 ms (not used)" in text) == ("Kernels that are not used" in text) == (not used)


def test_cases_are_taken_in_turn_each_for_its_time():
    log = []

    def work(name, seconds):
        def does(count):
            log.append((name, count))
            return seconds * count

        return does

    works = {"quick": (work("quick", 0.001), 0.1), "slow": (work("slow", 3.0), 0.1)}
    rounds = list(in_turn(works, 2))
    assert log[-4:] == [("quick", 100), ("slow", 1), ("quick", 100), ("slow", 1)]
    assert rounds == [{"quick": pytest.approx(0.001), "slow": 3.0}] * 2


def test_what_takes_no_time_asked_for_is_done_once():
    assert count_for(lambda count: 0.01 * count, 0.0) == 1


def test_medians_do_not_mind_one_bad_round():
    assert medians([{"a": 1.0}, {"a": 50.0}, {"a": 2.0}]) == {"a": 2.0}


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (2.0, "2.00 s"),
        (0.013, "13.0 ms"),
        (150e-6, "150 µs"),
        (0.862e-6, "862 ns"),
        (1e-6, "1.00 µs"),
        (2e-10, "0.200 ns"),
    ],
)
def test_durations_have_three_digits(seconds, text):
    assert duration(seconds) == text


@pytest.fixture
def brief(monkeypatch):
    """The benchmark with a hundredth of its time."""
    monkeypatch.setattr(bench_lab, "_SECONDS", 0.001)
    monkeypatch.setattr(bench_lab, "_KERNEL_SECONDS", 1e-5)
    monkeypatch.setattr(bench_lab, "MEMORY_STEPS", 100)
    monkeypatch.setattr(bench_lab, "text_tokens", lambda: TOKENS)
    monkeypatch.setattr(bench_lab, "_START_UP", {"nothing": ["-S", "-c", "pass"]})
    monkeypatch.setattr(bench_memory, "in_lanes", lambda work, items, **_: [(item, work(item)) for item in items])


@pytest.mark.slow  # every line of the command
def test_the_figures_belong_together(lab, brief, tmp_path):
    result = lab("bench", "lab", "--repeats=1", "--quiet", "--json", f"--out={tmp_path / 'bench'}")
    assert (result.code, result.err) == (0, "")
    summary = result.summary
    assert json.loads((tmp_path / "bench" / "summary.json").read_text()) == summary
    assert (summary["command"], summary["schema"], summary["action"], summary["device"]) == ("bench", 1, "lab", "cpu")
    figures = summary["figures"]
    named = {each["name"]: each for each in figures["training"]}
    assert set(named) == {*CASES, bench_lab.PYTHON_BIGRAM}
    for name, each in named.items():
        assert each["steps_per_sec"] == pytest.approx(1 / each["seconds_per_step"])
        if name in CASES:
            config = CASES[name].config
            window = config.batch_size * (config.block_size or 1)
            assert each["tokens_per_sec"] == pytest.approx(window * each["steps_per_sec"])
        if each["peer_seconds"]:
            assert each["times_faster"] == pytest.approx(min(each["peer_seconds"]) / each["seconds_per_step"])
        if each["nodes"]:
            assert each["ns_per_node"] == pytest.approx(1e9 * each["seconds_per_step"] / each["nodes"])
    tape, python = named[SCALAR_BIGRAM]["seconds_per_step"], named[bench_lab.PYTHON_BIGRAM]["seconds_per_step"]
    assert figures["python_over_tape"] == pytest.approx(python / tape)
    assert {each["name"] for each in figures["kernels"]} == set(TABLE)
    for each in figures["kernels"]:
        assert each["times_faster"] == pytest.approx(each["reference_seconds"] / each["kernel_seconds"])
    assert all(each["steps"] == 100 and each["end_bytes"] > 2**20 for each in figures["memory"])
    readme = (tmp_path / "bench" / "README.md").read_text()
    assert "`python -m nanochat_np bench lab --repeats 1 --out " in readme
    assert all(f"| {name} |" in readme for name in (*named, *TABLE))
    assert json.loads((tmp_path / "bench" / "env.json").read_text())["device"] == "cpu"


def test_a_folder_of_a_run_is_not_written_to(lab, tmp_path):
    (tmp_path / "config.json").write_text("{}")
    assert "holds a training run" in lab("bench", "lab", f"--out={tmp_path}").error(1)
