"""``bench train``, ``bench infer`` and ``bench gemm``: their figures belong together and count what they say."""

import json
import statistics

import numpy as np
import pytest

from nanochat_np.backend.device import Device
from nanochat_np.backend.products import product_dtype
from nanochat_np.commands import bench, bench_gemm, bench_train
from nanochat_np.experiments import bench_memory, bench_products, bench_steps
from nanochat_np.experiments.bench_inference import PREFILL, inference_works
from nanochat_np.experiments.bench_model import initial_weights
from nanochat_np.experiments.bench_products import layers, product_works
from nanochat_np.experiments.bench_steps import StepTimes, figures, step_times
from nanochat_np.infer.sampling import Sampling
from nanochat_np.kernels import reference_only
from nanochat_np.nn import gpt
from nanochat_np.nn.gpt_config import GPTConfig, flops_per_token, scaling_counts
from nanochat_np.ops import matmul

SMALL = [
    "--n-layer=2",
    "--n-head=2",
    "--n-kv-head=1",
    "--n-embd=32",
    "--max-seq-len=16",
    "--vocab-size=40",
    "--window-pattern=SL",
]
MODEL = GPTConfig(n_layer=2, n_head=2, n_kv_head=1, n_embd=32, sequence_len=16, vocab_size=40, window_pattern="SL")
PARAMETERS = scaling_counts(MODEL)["total"]


def test_an_action_is_needed_and_flags_of_others_are_refused(lab):
    assert "write bench lab, train, infer or gemm" in lab("bench").error(1)
    assert "--new-tokens does nothing with bench train" in lab("bench", "train", "--new-tokens=3").error(1)
    assert "--n-layer does nothing with bench gemm" in lab("bench", "gemm", "--n-layer=3").error(1)
    assert "--n-embd 30: not an even width" in lab("bench", "train", "--n-embd=30", "--n-head=4").error(1)


def test_every_flag_is_of_some_action():
    of_actions = set.union(*bench.FLAGS.values()) | {"action"}
    assert {"json", "quiet", "debug", "threads", "kernels"} == set(bench.BenchConfig.__struct_fields__) - of_actions


def test_training_figures_belong_together(lab, tmp_path, monkeypatch):
    monkeypatch.setattr(bench_train, "peak_flops", lambda device, dtype: {"float32": 5e9}[dtype])
    out = tmp_path / "bench"
    result = lab("bench", "train", *SMALL, "--steps=3", "--batch-size=2", "--quiet", "--json", f"--out={out}")
    assert (result.code, result.err) == (0, "")
    summary = result.summary
    assert json.loads((out / "summary.json").read_text()) == summary
    assert (summary["action"], summary["device"], summary["dtype"]) == ("train", "cpu", "float32")
    assert summary["config"] | {"n_kv_head": 1, "sequence_len": 16, "vocab_size": 40} == summary["config"]
    assert summary["parameters"] == PARAMETERS
    assert (len(summary["warm_up_ms"]), len(summary["step_ms"])) == (bench_steps.WARM_UP, 3)
    ms = {part: statistics.median(each[part] for each in summary["step_ms"]) for part in summary["ms"]}
    assert summary["ms"] == ms
    assert summary["ms"].keys() == {"forward", "backward", "optimizer"}
    assert 0 < summary["tokens_per_sec"] < summary["fwd_bwd_tokens_per_sec"]
    assert summary["gemm_peak_gflops"] == pytest.approx(5)
    assert summary["mfu"] == pytest.approx(flops_per_token(MODEL) * summary["tokens_per_sec"] / 5e9)
    assert 20 < summary["peak_rss_mib"] < 20_000
    assert summary["gpu_pool_mib"] is None
    readme = (out / "README.md").read_text()
    assert "`python -m nanochat_np bench train --architecture" not in readme
    assert "bench train --n-layer 2" in readme
    assert json.loads((out / "env.json").read_text()) == summary["environment"]


def test_figures_are_medians_over_tokens():
    times = [StepTimes(10, 20, 5), StepTimes(12, 20, 5), StepTimes(12, 900, 900)]
    found = figures(times, MODEL, 2, 1e9)
    assert found.ms == StepTimes(12, 20, 5)
    assert found.tokens_per_sec == pytest.approx(32 / 0.037)
    assert found.fwd_bwd_tokens_per_sec == pytest.approx(32 / 0.032)
    assert found.gemm_peak_gflops == pytest.approx(1)
    assert found.mfu == pytest.approx(flops_per_token(MODEL) * found.tokens_per_sec / 1e9)
    unknown = figures(times, MODEL, 2, None)
    assert (unknown.gemm_peak_gflops, unknown.mfu) == (None, None)


def test_steps_are_whole_steps_on_other_tokens_each(monkeypatch):
    seen = []
    forward = gpt.forward
    monkeypatch.setattr(
        gpt, "forward", lambda w, c, idx, *rest, **named: (seen.append(idx), forward(w, c, idx, *rest, **named))[1]
    )
    weights = initial_weights(MODEL, "float32", Device())
    before = {name: values.copy() for name, values in weights.items()}
    times = list(step_times(weights, MODEL, 3, 2, Device(), False))
    assert len(times) == len(seen) == bench_steps.WARM_UP + 2
    assert {idx.shape for idx in seen} == {(3, 16)}
    assert not np.array_equal(seen[0], seen[1])
    assert all(min(each.forward, each.backward, each.optimizer) > 0 for each in times)
    assert all(not np.array_equal(weights[name], values) for name, values in before.items() if "c_q" in name)


def test_inference_figures_belong_together(lab, tmp_path):
    out = tmp_path / "bench"
    flags = ["--prompt-tokens=8", "--new-tokens=2", "--repeats=3", "--texts=1,3", "--quiet", "--json", f"--out={out}"]
    summary = lab("bench", "infer", *SMALL, *flags, "--quantize=int8").summary
    assert json.loads((out / "summary.json").read_text()) == summary
    median = {name: statistics.median(seconds) for name, seconds in summary["seconds"].items()}
    assert summary["prefill_ms"] == pytest.approx(1e3 * median[PREFILL])
    assert summary["prefill_tokens_per_sec"] == pytest.approx(8 / median[PREFILL])
    assert summary["ms_per_step"]["3"] == pytest.approx(1e3 * median["decode 3"] / 2)
    assert summary["tokens_per_sec"] == {
        "1": pytest.approx(2 / median["decode 1"]),
        "3": pytest.approx(6 / median["decode 3"]),
    }
    assert "more than --max-seq-len 16 together" in lab("bench", "infer", *SMALL, "--prompt-tokens=15").error(1)


class Recorded:
    """An engine that says the token after the last one is the likeliest."""

    config, slots = MODEL, 4

    def __init__(self):
        self.calls = []

    def begin(self, slot):
        self.calls.append(("begin", slot))

    def extend(self, slot, tokens):
        self.calls.append(("extend", slot, len(tokens)))

    def copy(self, source, target):
        self.calls.append(("copy", source, target))

    def step(self, slots, tokens):
        self.calls.append(("step", list(slots), tokens))
        return np.eye(MODEL.vocab_size)[(np.array(tokens) + 1) % MODEL.vocab_size]


def test_texts_begin_with_the_prompt_and_go_on_with_what_was_written():
    engine = Recorded()
    works = inference_works(engine, 5, 3, [2], Sampling(temperature=0.0))
    assert engine.calls == [("begin", 3), ("extend", 3, 5)]
    works["decode 2"](1)
    copies, steps = engine.calls[2:4], engine.calls[4:]
    assert copies == [("copy", 3, 0), ("copy", 3, 1)]
    first = steps[0][2][0]
    assert [tokens for _, _, tokens in steps] == [[(first + k) % MODEL.vocab_size] * 2 for k in range(3)]


@pytest.mark.parametrize("action", ["train", "infer"])
def test_the_precision_of_products_is_that_of_the_flag(lab, monkeypatch, action, tmp_path):
    seen, product = set(), matmul._product
    recorded = lambda x, y, out: (seen.add(product_dtype()), product(x, y, out))[1]  # noqa: E731
    monkeypatch.setattr(matmul, "_product", recorded)
    monkeypatch.setattr(matmul, "_SURELY_SMALL", 0)
    small = ("--n-layer=1", "--n-head=2", "--n-embd=32", "--max-seq-len=16", "--vocab-size=40")
    own = (
        ("--batch-size=1", "--steps=1")
        if action == "train"
        else ("--prompt-tokens=4", "--new-tokens=2", "--repeats=1", "--texts=1")
    )
    flags = (*small, *own, "--dtype=bfloat16", "--quiet", "--json", f"--out={tmp_path / 'out'}")
    with reference_only():
        assert lab("bench", action, *flags).summary["dtype"] == "bfloat16"
    assert seen == {"bfloat16"}


@pytest.mark.parametrize("action", ["train", "infer"])
def test_a_gpu_has_no_products_in_bfloat16_yet(lab, monkeypatch, action):
    monkeypatch.setattr(f"nanochat_np.commands.bench_{action}.select_device", lambda name: Device(0))
    assert "--dtype bfloat16: a GPU multiplies in float32" in lab("bench", action, "--dtype=bfloat16").error(1)


def test_products_are_those_of_a_step(lab, tmp_path, monkeypatch):
    monkeypatch.setattr(bench_gemm, "_SECONDS", 1e-5)
    monkeypatch.setattr(bench_products, "SQUARE_SIZE", 16)
    out = tmp_path / "bench"
    flags = ["--n-embd=8", "--vocab-size=40", "--batch-size=2", "--max-seq-len=4", "--repeats=1"]
    summary = lab("bench", "gemm", *flags, "--quiet", "--json", f"--out={out}").summary
    assert json.loads((out / "summary.json").read_text()) == summary
    products = summary["products"]
    assert len(products) == 3 * (4 * 3 + 1)
    for each in products:
        operations = 2 * each["rows"] * each["inputs"] * each["outputs"]
        assert each["gflops"] == pytest.approx(operations / each["seconds"] / 1e9)
    assert {(each["layer"], each["inputs"], each["outputs"]) for each in products if each["rows"] == 8} == {
        ("attention", 8, 8),
        ("MLP, up", 8, 32),
        ("MLP, down", 32, 8),
        ("head", 8, 40),
    }


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_a_layer_has_three_products(monkeypatch, dtype):
    layer = layers(8, 40, 6)[3]
    shapes = []
    matmul = np.matmul

    def multiply(a, b, out):
        shapes.append((a.shape, b.shape, out.shape, a.dtype))
        return matmul(a, b, out=out)

    monkeypatch.setattr(np, "matmul", multiply)
    for work in product_works(layer, dtype, Device()).values():
        work(1)
    n, i, o = 6, 8, 40
    of = np.dtype(dtype)
    assert shapes == [
        ((n, i), (i, o), (n, o), of),
        ((n, o), (o, i), (n, i), of),
        ((o, n), (n, i), (o, i), of),
    ]


def test_the_peak_of_memory_does_not_fall():
    before = bench_memory.peak_resident_bytes()
    held = np.ones(2**23)  # 64 MiB
    with_it = bench_memory.peak_resident_bytes()
    del held
    assert with_it >= before + 2**25 or before > 2**28  # other tests may have held more
    assert bench_memory.peak_resident_bytes() >= with_it
