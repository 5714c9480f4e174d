"""What is to be generated for a request, in the engine's terms."""

import secrets
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TypeVar

from nanochat_np.infer.generation import Generation
from nanochat_np.infer.sampling import Sampling
from nanochat_np.infer.tool import Tool
from nanochat_np.serve.failure import ApiError
from nanochat_np.serve.protocol import Request
from nanochat_np.text import special
from nanochat_np.text.bpe import BpeTokenizer

T = TypeVar("T")


@dataclass(frozen=True)
class Plan:
    """``prompts``, each answered ``n`` times: choice ``i`` is sample ``i % n`` of prompt ``i // n``.

    With ``chat`` the model has its tool, and probabilities are those of text; without, of all tokens.  Without
    ``ends`` no token ends an answer.  ``key`` is what a later request has to equal to get the same answers; None where
    they are drawn anew each time.
    """

    prompts: Sequence[list[int]]
    sampling: Sampling
    n: int
    stop: tuple[str, ...]
    chat: bool
    key: str | None
    dropped: int = 0
    ends: bool = True

    @property
    def prompt_tokens(self) -> int:
        """Tokens of all prompts."""
        return sum(map(len, self.prompts))

    def generations(self, tokenizer: BpeTokenizer) -> list[Generation]:
        """One for each choice, in order."""
        ends = [tokenizer.special_ids[name] for name in (special.BOS, special.ASSISTANT_END) if self.ends]
        return [
            Generation(prompt, self.sampling, stop=ends, sample=sample, tool=Tool(tokenizer) if self.chat else None)
            for prompt in self.prompts
            for sample in range(self.n)
        ]


def sampling(request: Request, tokenizer: BpeTokenizer, max_tokens: int, logprobs: int | None) -> Sampling:
    """How the tokens of a request are chosen.  Raises ApiError for a bias of a token that there is not."""
    bias = request.logit_bias or {}
    require_tokens(tokenizer, bias, "logit_bias")
    top_p = given(request.top_p, 1.0)
    return Sampling(
        max_tokens=max_tokens,
        temperature=given(request.temperature, 1.0),
        top_k=given(request.top_k, 0) if top_p else 1,  # of no probability at all the likeliest token is left
        top_p=top_p or 1.0,
        min_p=given(request.min_p, 0.0),
        repetition_penalty=given(request.repetition_penalty, 1.0),
        presence_penalty=given(request.presence_penalty, 0.0),
        frequency_penalty=given(request.frequency_penalty, 0.0),
        logit_bias=bias,
        seed=secrets.randbits(63) if request.seed is None else request.seed,
        logprobs=logprobs,
    )


def require_tokens(tokenizer: BpeTokenizer, ids: Iterable[int], param: str) -> None:
    """Raise ApiError for an id that is no token."""
    for token in ids:
        if not 0 <= token < tokenizer.vocab_size:
            message = f"there is no token {token}: the vocabulary goes from 0 to {tokenizer.vocab_size - 1}"
            raise ApiError(400, message, param, "invalid_value")


def repeatable(request: Request) -> bool:
    """Whether the same request gets the same answer each time."""
    return request.temperature == 0 or request.seed is not None


def given(value: T | None, default: T) -> T:
    """The value, or the default where it is None."""
    return default if value is None else value
