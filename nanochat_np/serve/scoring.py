"""How probable a model finds the tokens of a text that is there already."""

from collections.abc import Sequence

import numpy as np

from nanochat_np.backend.arrays import to_numpy
from nanochat_np.infer.generation import Logprobs
from nanochat_np.infer.gpt_engine import GPTEngine
from nanochat_np.nn import gpt, gpt_decode

ROWS = 128  # positions whose logits are in memory together


def score(engine: GPTEngine, ids: Sequence[int], count: int) -> list[Logprobs | None]:
    """Of each token given those before it, with the ``count`` likeliest in its place; None for the first.

    Takes as long as reading the text once.
    """
    with engine.device.active():
        idx = engine.device.array(np.array([ids], np.int64))
        x, _ = gpt.hidden(engine.weights, engine.config, idx, recompute=True)
        scored: list[Logprobs | None] = [None]
        for start in range(0, len(ids) - 1, ROWS):
            targets = ids[start + 1 : start + 1 + ROWS]
            logits = gpt_decode.head(engine.weights, engine.config, x[0, start : start + len(targets)])
            scored += _of_rows(to_numpy(logits).astype(np.float64), targets, count)
    return scored


def _of_rows(logits: np.ndarray, targets: Sequence[int], count: int) -> list[Logprobs]:
    top = logits.max(-1, keepdims=True)
    values = logits - top - np.log(np.exp(logits - top).sum(-1, keepdims=True))
    likeliest = np.argsort(-values, -1, kind="stable")[:, :count]
    return [
        Logprobs(float(row[target]), [(int(i), float(row[i])) for i in best])
        for row, target, best in zip(values, targets, likeliest, strict=True)
    ]
