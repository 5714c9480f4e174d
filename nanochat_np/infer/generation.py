"""One answer in the making: a prompt, what the model has added to it, and what decides about the next token."""

import threading
from collections import deque
from collections.abc import Collection, Sequence
from typing import Literal, NamedTuple

import numpy as np

from nanochat_np.backend.random import stream
from nanochat_np.infer.sampling import Sampling, choose
from nanochat_np.infer.tool import Tool

FinishReason = Literal["stop", "length", "cancelled"]


class Logprobs(NamedTuple):
    """The logarithm of the probability of a token, and the likeliest tokens in its place with theirs, in nats."""

    logprob: float
    top: list[tuple[int, float]]


class Generation:
    """``tokens`` are the answer, without the token that ended it; ``chosen`` is False for those the tool put in.

    ``finish_reason`` is None while it goes on, then "stop" after a token of ``stop``, "length" where ``max_tokens`` are
    written or the context is full, "cancelled" when asked to.
    """

    def __init__(
        self,
        prompt: Sequence[int],
        sampling: Sampling,
        *,
        stop: Collection[int],
        tool: Tool | None = None,
        sample: int = 0,
    ) -> None:
        """``sample`` tells answers to one prompt with one seed apart."""
        self.prompt, self.sampling = list(prompt), sampling
        self.tokens: list[int] = []
        self.chosen: list[bool] = []
        self.logprobs: list[Logprobs] = []
        self.finish_reason: FinishReason | None = None
        self._stop, self._tool = frozenset(stop), tool
        self._rng = stream(sampling.seed, f"sampling/{sample}")
        self._forced: deque[int] = deque()
        self._counts: np.ndarray | None = None
        self._cancelled = threading.Event()

    def cancel(self) -> None:
        """End it at the next step; from any thread."""
        self._cancelled.set()

    def end_if_due(self, room: int) -> bool:
        """End it where it was cancelled or has all its tokens, at most ``room``; whether it has ended."""
        if self.finish_reason is None:
            if self._cancelled.is_set():
                self.finish_reason = "cancelled"
            elif len(self.tokens) >= min(self.sampling.max_tokens, room):
                self.finish_reason = "length"
        return self.finish_reason is not None

    def take(self, logits: np.ndarray) -> None:
        """Add the next token, by logits (V,) float32 or float64, or end."""
        token = self._forced.popleft() if (forced := bool(self._forced)) else self._choose(logits)
        if token in self._stop:
            self.finish_reason = "stop"
            return
        self.tokens.append(token)
        self.chosen.append(not forced)
        if self.sampling.logprobs is not None:
            self.logprobs.append(_logprobs(logits.astype(np.float64), token, self.sampling.logprobs))
        if self._counts is not None:
            self._counts[:, token] += 1
        if self._tool is not None and not forced:
            self._forced.extend(self._tool.read(token))

    def _choose(self, logits: np.ndarray) -> int:
        if self.sampling.penalises and self._counts is None:
            self._counts = np.zeros((2, logits.size), np.int64)
            np.add.at(self._counts[0], self.prompt, 1)
        return choose(logits, self.sampling, self._counts, self._rng)


def _logprobs(logits: np.ndarray, token: int, count: int) -> Logprobs:
    top = logits.max()
    values = logits - top - np.log(np.exp(logits - top).sum())
    likeliest = np.argsort(-values, kind="stable")[:count]
    return Logprobs(float(values[token]), [(int(i), float(values[i])) for i in likeliest])
