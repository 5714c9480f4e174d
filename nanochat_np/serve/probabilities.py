"""Logarithms of probabilities in the two forms that OpenAI's protocols have for them."""

import codecs
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import msgspec

from nanochat_np.infer.generation import Logprobs
from nanochat_np.text.bpe import BpeTokenizer


class Scored(NamedTuple):
    """A token, and what is known of its probability: None for the first token of a text, which nothing predicts."""

    token: int
    logprobs: Logprobs | None


class TokenLogprob(msgspec.Struct, frozen=True):
    """A token of chat completions; ``bytes`` are there because ``token`` may hold half a character."""

    token: str
    logprob: float
    bytes: list[int]


class ContentLogprob(TokenLogprob, frozen=True):
    """A token that was taken, and the likeliest in its place."""

    top_logprobs: list[TokenLogprob]


def chat_form(tokenizer: BpeTokenizer, scored: Iterable[Scored]) -> list[ContentLogprob]:
    """``choices[].logprobs.content`` of chat completions."""
    return [
        ContentLogprob(
            *_token(tokenizer, token, logprobs.logprob),
            [TokenLogprob(*_token(tokenizer, other, value)) for other, value in logprobs.top],
        )
        for token, logprobs in scored
        if logprobs is not None
    ]


def completion_form(tokenizer: BpeTokenizer, scored: Sequence[Scored], offset: int) -> dict[str, Any]:
    """``choices[].logprobs`` of completions; ``offset`` is where in the text the first token begins.

    Control tokens are told, though the text does not have them.
    """
    names = [name_of(tokenizer, token) for token, _ in scored]
    offsets, decoder = [], codecs.getincrementaldecoder("utf-8")("replace")
    for token, _ in scored:
        offsets.append(offset)
        if token < len(tokenizer.tokens):
            offset += len(decoder.decode(tokenizer.decode_bytes([token])))
    return {
        "tokens": names,
        "token_logprobs": [logprobs and logprobs.logprob for _, logprobs in scored],
        "top_logprobs": [
            logprobs and {name_of(tokenizer, other): value for other, value in logprobs.top} for _, logprobs in scored
        ],
        "text_offset": offsets,
    }


def name_of(tokenizer: BpeTokenizer, token: int) -> str:
    r"""A token as text, and one that is no text by itself as OpenAI writes it: ``bytes:\xe2\x82``."""
    data = tokenizer.decode_bytes([token])
    try:
        return data.decode()
    except UnicodeDecodeError:
        return "bytes:" + "".join(f"\\x{value:02x}" for value in data)


def _token(tokenizer: BpeTokenizer, token: int, logprob: float) -> tuple[str, float, list[int]]:
    return name_of(tokenizer, token), logprob, list(tokenizer.decode_bytes([token]))
