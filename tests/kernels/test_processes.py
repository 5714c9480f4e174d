"""Kernels beside other threads of Python, and after a fork."""

import subprocess
import sys

import pytest

COMMON = """
import os, sys, threading
import numpy as np
from nanochat_np.backend.products import products_in
from nanochat_np import kernels
from nanochat_np.nn import gpt
from nanochat_np.nn.gpt_config import GPTConfig, initial

config = GPTConfig(sequence_len=128, vocab_size=500, n_layer=2, n_head=2, n_kv_head=2, n_embd=128)
weights = initial(config, np.random.default_rng(0))

def step(seed, dtype="float32"):
    idx, targets = np.random.default_rng(seed).integers(0, 500, (2, 4, 128))
    grads = {name: np.zeros_like(w) for name, w in weights.items()}
    with products_in(dtype):
        loss, cache = gpt.forward(weights, config, idx, targets, grads)
        gpt.backward(cache, grads)
    return float(loss), b"".join(grad.tobytes() for grad in grads.values())
"""
THREADS = """
jobs = [(seed, dtype) for seed in range(4) for dtype in ("float32", "bfloat16")]
alone, beside = {job: step(*job) for job in jobs}, {}

def work(job):
    for _ in range(3):
        beside[job] = step(*job)

threads = [threading.Thread(target=work, args=(job,)) for job in jobs]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
assert beside == alone
assert len({loss for loss, _ in alone.values()}) == len(jobs)
"""
FORK = """
loss, _ = step(1)
reading, writing = os.pipe()
if os.fork() == 0:
    found, _ = step(1)
    os.write(writing, f"{kernels.in_use()} {abs(found / loss - 1) < 1e-5}".encode())
    os._exit(0)
assert os.waitstatus_to_exitcode(os.wait()[1]) == 0
assert os.read(reading, 100) == b"False True"
assert kernels.in_use() and step(1)[0] == loss
"""
EARLY_FORK = """
if os.fork() == 0:
    os._exit(not (kernels.in_use() and 5 < step(1)[0] < 7))
assert os.waitstatus_to_exitcode(os.wait()[1]) == 0
assert 5 < step(1)[0] < 7
"""


@pytest.mark.slow
@pytest.mark.parametrize(
    "script",
    [
        pytest.param(THREADS, id="threads"),
        *(
            pytest.param(code, id=name, marks=pytest.mark.skipif(sys.platform == "win32", reason="no fork"))
            for name, code in (("fork", FORK), ("early fork", EARLY_FORK))
        ),
    ],
)
def test_in_a_process_of_its_own(script):
    found = subprocess.run(
        [sys.executable, "-c", COMMON + script], capture_output=True, text=True, timeout=300, check=False
    )
    assert (found.returncode, found.stderr) == (0, "")
