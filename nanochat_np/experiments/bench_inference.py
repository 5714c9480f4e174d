"""Inference of the GPT on random tokens: reading a prompt, and generating after it."""

from nanochat_np.backend.arrays import Array
from nanochat_np.backend.device import Device
from nanochat_np.backend.random import stream
from nanochat_np.experiments.bench_model import SEED
from nanochat_np.experiments.timing import Work, repeated
from nanochat_np.nn import gpt
from nanochat_np.nn.gpt_config import GPTConfig

KV_CACHE = False  # a token that is generated costs a forward pass over all before it


def inference_works(
    weights: dict[str, Array], model: GPTConfig, prompt_tokens: int, new_tokens: int, device: Device
) -> dict[str, Work]:
    """``prefill``: the logits of a prompt, one row, at every position; ``generation``: the likeliest tokens after it.

    The time to generate includes that of the prompt.
    """
    prompt = stream(SEED, "sampling").integers(0, model.vocab_size, (1, prompt_tokens), dtype="int32")

    def prefill() -> None:
        gpt.logits(weights, model, device.array(prompt))
        device.synchronize()

    def generation() -> None:
        row = device.array(prompt)
        for _ in range(new_tokens):
            token = gpt.logits(weights, model, row)[:, -1:].argmax(-1)
            row = device.xp.concatenate([row, token.astype(row.dtype)], axis=1)
        device.synchronize()

    return {"prefill": repeated(prefill), "generation": repeated(generation)}


def weight_bytes(weights: dict[str, Array]) -> int:
    """Memory of the parameters."""
    return sum(values.nbytes for values in weights.values())
