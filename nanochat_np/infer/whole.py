"""Text from a GPT without a cache: each token is computed from all before it, anew."""

import codecs
from collections.abc import Iterator

import numpy as np

from nanochat_np.backend.arrays import to_numpy
from nanochat_np.backend.device import Device
from nanochat_np.errors import PromptTooLong
from nanochat_np.infer.sampler import Sampler
from nanochat_np.nn import gpt
from nanochat_np.nn.gpt_config import GPTConfig
from nanochat_np.nn.model import Weights
from nanochat_np.text.bpe import BpeTokenizer


def continue_prompt(
    weights: Weights,
    config: GPTConfig,
    device: Device,
    tokenizer: BpeTokenizer,
    prompt: str,
    count: int,
    sampler: Sampler,
    truncate: bool = False,
) -> Iterator[str]:
    """Yield up to ``count`` tokens as text that continues ``prompt`` in a document of its own.

    A character whose bytes are spread over tokens comes with the last of them.  Raises PromptTooLong at once, for a
    prompt that leaves no room in ``sequence_len``, unless ``truncate`` keeps its end.
    """
    tokens = tokenizer.encode(prompt).tolist()
    most = config.sequence_len - 1
    if len(tokens) > most and not truncate:
        raise PromptTooLong(len(tokens), most)
    context = [tokenizer.bos, *tokens[max(0, len(tokens) - most) :]]
    return _text(tokenizer, generate(weights, config, device, context, count, sampler, stop=tokenizer.bos))


def _text(tokenizer: BpeTokenizer, tokens: Iterator[int]) -> Iterator[str]:
    decoder = codecs.getincrementaldecoder("utf-8")("replace")
    for token in tokens:
        yield decoder.decode(tokenizer.decode_bytes([token]))
    yield decoder.decode(b"", final=True)


def generate(
    weights: Weights, config: GPTConfig, device: Device, context: list[int], count: int, sampler: Sampler, stop: int
) -> Iterator[int]:
    """Yield up to ``count`` tokens after ``context`` (at least one), up to and without the token ``stop``.

    Each sees the last ``sequence_len`` tokens at most.
    """
    tokens = list(context)
    for _ in range(count):
        with device.active():
            idx = device.array(np.array([tokens[-config.sequence_len :]]))
            logits = to_numpy(gpt.logits(weights, config, idx)[0, -1]).astype(np.float64)
        token = sampler(logits)
        if token == stop:
            return
        yield token
        tokens.append(token)
