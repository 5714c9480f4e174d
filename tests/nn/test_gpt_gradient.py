"""The gradient with rows for the tokens of a step alone is the whole one, and so is the optimizer's step with it."""

import numpy as np
import pytest

from nanochat_np.nn import gpt
from nanochat_np.nn.gpt_config import GPTConfig, initial
from nanochat_np.nn.gpt_gradient import GPTGradient, is_embedding
from nanochat_np.optim.groups import MuonAdamW, Rates

CONFIG = GPTConfig(sequence_len=16, vocab_size=50, n_layer=2, n_head=2, n_kv_head=2, n_embd=32)


@pytest.mark.parametrize("room", [16, 500])
def test_two_steps_are_those_of_the_whole_gradient(room):
    rng = np.random.default_rng(0)
    whole, by_rows = ({name: w.copy() for name, w in initial(CONFIG, np.random.default_rng(1)).items()} for _ in "12")
    optimizers = [MuonAdamW(w, CONFIG.n_embd, Rates()) for w in (whole, by_rows)]
    gradient = GPTGradient(by_rows, room)
    for _ in range(2):
        batches = rng.integers(0, 50, (2, 2, 2, 4))
        grads = {name: np.zeros_like(w) for name, w in whole.items()}
        gradient.clear([idx for idx, _ in batches])
        for idx, targets in batches:
            _, cache = gpt.forward(whole, CONFIG, idx, targets, grads)
            gpt.backward(cache, grads)
            _, cache = gpt.forward(by_rows, CONFIG, idx, targets, gradient.arrays)
            gpt.backward(cache, gradient.arrays, gradient.places(idx))
        assert list(gradient.tokens) == sorted(set(batches[:, 0].ravel()))
        for name, found in gradient.arrays.items():
            expected = grads[name][gradient.tokens] if is_embedding(name) else grads[name]
            np.testing.assert_array_equal(found, expected, err_msg=name)
        optimizers[0].step(grads, 1.0, 0.9, 1.0)
        optimizers[1].step(gradient.arrays, 1.0, 0.9, 1.0, tokens=gradient.tokens)
    for name, w in whole.items():
        np.testing.assert_array_equal(by_rows[name], w, err_msg=name)
    assert sum(map(is_embedding, whole)) == 1 + 1  # of tokens, and of the values of the last layer


def test_more_tokens_than_there_is_room_for_are_refused():
    gradient = GPTGradient(initial(CONFIG, np.random.default_rng(0)), 4)
    with pytest.raises(ValueError, match="5 tokens where there is room for the gradient of 4"):
        gradient.clear([np.arange(5)])
