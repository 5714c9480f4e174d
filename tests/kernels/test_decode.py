"""A token through the whole model in compiled code: the logits of the reference, in every precision of the weights."""

import os
import subprocess
import sys

import numpy as np
import pytest

from nanochat_np import kernels
from nanochat_np.backend import Device, stream
from nanochat_np.errors import ConfigError
from nanochat_np.infer.gpt_engine import GPTEngine
from nanochat_np.infer.quantize import packed, unpacked
from nanochat_np.nn import gpt
from nanochat_np.nn.gpt_config import GPTConfig, initial
from nanochat_np.text.bpe import BYTES, BpeTokenizer
from tests.kernels.test_gemm import TARGETS

TEXT = np.random.default_rng(0).integers(0, 70, 140)


def model(architecture="current", **changes):
    settings = {"sequence_len": 150, "vocab_size": 70, "n_layer": 3, "n_head": 2, "n_kv_head": 1, "n_embd": 36}
    return GPTConfig(architecture=architecture, window_pattern="SL", **(settings | changes))


def weights_of(config):
    rng = stream(1, "test")
    values = initial(config, rng)
    return {name: (v + 0.1 * rng.standard_normal(v.shape)).astype(np.float32) for name, v in values.items()}


def engine(config, **named):
    return GPTEngine(config, weights_of(config), BpeTokenizer(BYTES), Device(), slots=6, **named)


def whole(engine, text):
    """Logits (T, V) by the reference, of the weights that the engine has."""
    with kernels.reference_only():
        weights = {name: values.astype(np.float64) for name, values in engine.weights.items()}
        return gpt.logits(weights, engine.config, np.array([text]))[0]


CONFIGS = {
    "grouped": model(),
    "classic": model("classic", n_kv_head=2, rope_base=10000.0, qk_scale=1.0, norm_eps=1e-6),
    "aligned": model(n_embd=64, n_head=4, n_kv_head=2),
    "one-layer": model(n_layer=1, n_head=1, n_embd=26, n_kv_head=1),
}


@pytest.mark.parametrize("quantize", ["float32", "bfloat16", "int8"])
@pytest.mark.parametrize("config", CONFIGS.values(), ids=CONFIGS)
def test_texts_of_different_lengths(config, quantize):
    found, lengths = engine(config, quantize=quantize), [1, 100, 136, 5, 17]
    for slot, length in enumerate(lengths):
        found.extend(slot, TEXT[:length].tolist())
    for more in range(3):
        logits = found.step(range(5), [int(TEXT[length + more]) for length in lengths])
        for row, length in enumerate(lengths):
            expected = whole(found, TEXT[: length + more + 1])[-1]
            np.testing.assert_allclose(logits[row], expected, rtol=1e-4, atol=1e-4)


def test_reading_goes_on_where_decoding_left_off():
    found = engine(CONFIGS["grouped"])
    found.extend(2, TEXT[:7].tolist())
    found.step([2], [int(TEXT[7])])
    logits = found.extend(2, TEXT[8:12].tolist())
    np.testing.assert_allclose(logits, whole(found, TEXT[:12])[-1], rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("quantize", ["float32", "bfloat16", "int8"])
def test_to_the_last_bit_whoever_else_is_there(quantize):
    found = engine(CONFIGS["aligned"], quantize=quantize)
    alone = []
    for slot in range(6):
        found.extend(slot, TEXT[: 9 + slot].tolist())
        alone.append(found.step([slot], [3])[0])
        found.begin(slot)
        found.extend(slot, TEXT[: 9 + slot].tolist())
    np.testing.assert_array_equal(found.step([5, 0, 3, 1, 2, 4], [3] * 6), [alone[slot] for slot in (5, 0, 3, 1, 2, 4)])


def test_rounded_weights_are_near():
    w = np.random.default_rng(1).standard_normal((3, 5, 8)).astype(np.float32)
    w[0, 1] = 0
    assert packed(w, "float32")[0] is w
    np.testing.assert_allclose(unpacked(*packed(w, "bfloat16")), w, rtol=2**-8)
    codes, factors = packed(w, "int8")
    assert codes.dtype == np.int8
    assert (np.abs(unpacked(codes, factors) - w) <= 0.5001 * factors[..., None]).all()
    halfway = np.array([[1 + 2**-8, 1 + 3 * 2**-8]], np.float32)  # to the even neighbour
    np.testing.assert_array_equal(unpacked(*packed(halfway, "bfloat16")), [[1, 1 + 2**-6]])


def test_without_compiled_loops_weights_stay_as_they_are():
    with kernels.reference_only():
        found = engine(CONFIGS["grouped"])
        found.extend(0, TEXT[:4].tolist())
        np.testing.assert_allclose(found.step([0], [1])[0], whole(found, [*TEXT[:4], 1])[-1], rtol=1e-4, atol=1e-4)
        with pytest.raises(ConfigError, match="--quantize int8: only on a CPU"):
            engine(CONFIGS["grouped"], quantize="int8")


@pytest.mark.slow
@pytest.mark.skipif(os.uname().machine != "x86_64", reason="forces CPUs of this kind")
@pytest.mark.parametrize("name", ["AVX2", "any"])
def test_on_a_cpu_with_narrower_registers(name, tmp_path):
    forced = {**os.environ, **TARGETS[name], "NUMBA_CACHE_DIR": str(tmp_path)}
    wanted = "test_texts_of_different_lengths or test_to_the_last_bit"
    arguments = ["-q", "-n", "0", "-p", "no:cacheprovider", "-k", wanted, __file__]
    found = subprocess.run([sys.executable, "-m", "pytest", *arguments], env=forced, capture_output=True, text=True)
    assert found.returncode == 0, found.stdout
