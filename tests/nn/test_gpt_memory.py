"""Memory of the nanochat GPT on the CPU: a steady step takes none, and recomputing keeps less, at equal gradients."""

import tracemalloc
import weakref
from collections import Counter

import numpy as np
import pytest

from nanochat_np.backend import default_pool, pool
from nanochat_np.nn import gpt
from nanochat_np.nn.gpt_config import GPTConfig, initial
from nanochat_np.ops import blockwise_attention, head

MIB = 1 << 20
LARGE = {"sequence_len": 512, "vocab_size": 5000, "n_layer": 2, "n_head": 4, "n_embd": 128}
MODELS = {
    "current": {"architecture": "current", "n_kv_head": 4, "window_pattern": "L"},
    "current-gqa-windows": {"architecture": "current", "n_kv_head": 2, "window_pattern": "SL"},
    "classic-gqa": {"architecture": "classic", "n_kv_head": 2},
}
WAYS = [(1, False), (1, True), (2, False)]  # parts of a step, recompute
QUICK = [("current-gqa-windows", 1, True), ("classic-gqa", 1, False)]
SLOW = [(model, *way) for model in MODELS for way in WAYS if (model, *way) not in QUICK]
models = pytest.mark.parametrize("settings", MODELS.values(), ids=MODELS)


@pytest.fixture(autouse=True)
def _small_arrays_are_of_the_pool_too(monkeypatch):
    """So that models that are quick to try have what large ones have."""
    monkeypatch.setattr(pool, "SMALLEST", 1 << 16)


class Run:
    """A model with its gradients, whose arrays are larger than a MiB."""

    def __init__(self, settings, dtype=np.float32, **smaller):
        self.config = GPTConfig(**LARGE | settings | smaller)
        rng = np.random.default_rng(0)
        self.w = {name: value.astype(dtype) for name, value in initial(self.config, rng).items()}
        for name, value in self.w.items():
            if name.endswith("c_proj.weight"):
                value[...] = 0.02 * rng.standard_normal(value.shape)
        if self.config.is_current:
            self.w["smear_lambda"][:] = 0.3
        self.grads = {name: np.zeros_like(value) for name, value in self.w.items()}
        shape = 2, min(512, self.config.sequence_len)
        self.idx, self.targets = rng.integers(0, self.config.vocab_size, (2, *shape))
        self.targets[0, :5] = -1

    def step(self, parts=1, recompute=False):
        """Forward and backward; with several ``parts`` the mean of their gradients."""
        for g in self.grads.values():
            g.fill(0)
        for _ in range(parts):
            loss, cache = gpt.forward(self.w, self.config, self.idx, self.targets, self.grads, 1 / parts, recompute)
            gpt.backward(cache, self.grads)
        return loss

    def kept_bytes(self, recompute):
        """What the pool lends between forward and backward."""
        before = default_pool.used_bytes()
        kept = gpt.hidden(self.w, self.config, self.idx, recompute)
        return default_pool.used_bytes() - before, kept


@pytest.mark.parametrize(
    ("model", "parts", "recompute"), [*QUICK, *(pytest.param(*case, marks=pytest.mark.slow) for case in SLOW)]
)
def test_a_steady_step_allocates_nothing_large(model, parts, recompute):
    run = Run(MODELS[model])
    for _ in range(2):
        run.step(parts, recompute)
    total = default_pool.total_bytes()
    tracemalloc.start()
    try:
        before, _ = tracemalloc.get_traced_memory()
        run.step(parts, recompute)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak - before < MIB
    assert default_pool.total_bytes() == total


def test_large_arrays_of_a_step(monkeypatch):
    """Never all logits nor all scores; one chunk of logits; of the MLP two besides those kept, and two in panels."""
    run, made, most, empty = Run({"n_kv_head": 2}), [], Counter(), default_pool.empty

    def recorded(shape, dtype):
        array = empty(shape, dtype)
        made.append((array.size, weakref.ref(array)))
        alive = Counter(size for size, array in made if array() is not None)
        most.update(alive - most)
        return array

    monkeypatch.setattr(default_pool, "empty", recorded)
    monkeypatch.setattr(head, "CHUNK_LOGITS", 64 * 5000)
    monkeypatch.setattr(blockwise_attention, "BLOCK_SCORES", 1 << 18)
    run.step()
    texts, length = run.idx.shape
    scores, logits = texts * 4 * length * length, texts * length * 5000
    assert max(most) < min(scores, logits) / 2
    assert most[64 * 5000] == 1
    assert run.config.n_layer + 2 <= most[texts * length * 4 * 128] <= run.config.n_layer + 4


@models
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_recomputing_gives_the_same_gradients_and_keeps_less(settings, dtype):
    run = Run(settings, dtype, sequence_len=130, vocab_size=60)
    loss = run.step()
    expected = {name: g.copy() for name, g in run.grads.items()}
    assert run.step(recompute=True) == loss
    for name, g in run.grads.items():
        np.testing.assert_array_equal(g, expected[name], err_msg=name)
        assert g.any()
    everything, _ = run.kept_bytes(recompute=False)
    inputs, _ = run.kept_bytes(recompute=True)
    assert inputs < everything / 4


@pytest.mark.slow
@models
def test_equal_gradients_at_every_run(settings):
    """Threads share the work, but never a sum."""
    run = Run(settings)
    run.step()
    expected = {name: g.tobytes() for name, g in run.grads.items()}
    run.step()
    assert expected == {name: g.tobytes() for name, g in run.grads.items()}


def test_gradients_of_parts_are_their_mean():
    run = Run({"n_kv_head": 2}, np.float64, sequence_len=64, vocab_size=60)
    run.step()
    expected = {name: g.copy() for name, g in run.grads.items()}
    run.step(parts=4)
    for name, g in run.grads.items():
        np.testing.assert_allclose(g, expected[name], rtol=1e-10, atol=1e-15, err_msg=name)
