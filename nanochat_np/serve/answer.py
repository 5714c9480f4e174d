"""Answers as they come: from what the engine's thread tells to pieces of text, and out of the cache where they are."""

import asyncio
import itertools
import time
from collections.abc import AsyncGenerator
from typing import NamedTuple

from nanochat_np.infer.answer import AnswerText, Span
from nanochat_np.infer.generation import Logprobs
from nanochat_np.serve.failure import ApiError, of
from nanochat_np.serve.plan import Plan
from nanochat_np.serve.probabilities import Scored
from nanochat_np.serve.scheduler import Job, News
from nanochat_np.serve.service import Service
from nanochat_np.text import special
from nanochat_np.text.bpe import BpeTokenizer


class Delta(NamedTuple):
    """What is new of a choice: pieces of its text, tokens with their probabilities, how many it has, how it ended."""

    choice: int
    spans: list[Span]
    scored: list[Scored]
    tokens: int
    finish_reason: str | None


class Choice:
    """One answer of several to a request, on its way from tokens to text."""

    def __init__(self, number: int, tokenizer: BpeTokenizer, plan: Plan) -> None:
        self.number = number
        self.ended = False
        self._text = AnswerText(tokenizer, plan.stop)
        self._specials = {number: name for name, number in tokenizer.special_ids.items()}
        self._of_text_only = plan.chat
        self._in_tool = False
        self._scored: list[Scored] = []  # of text that is held back

    def take(self, news: News) -> Delta:
        """What tokens add.  After a stop string it has ended, whatever the engine says."""
        spans, scored, tokens = [], [], 0
        for number, token in enumerate(news.tokens):
            tokens += 1
            self._see(token, news.logprobs[number] if news.logprobs else None)
            shown = self._text.feed([token])
            if shown:
                spans += shown
                scored += self._released()
            if self._text.stopped:
                self.ended = True
                return Delta(self.number, spans, scored, tokens, "stop")
        if news.finish_reason is None:
            return Delta(self.number, spans, scored, tokens, None)
        self.ended = True
        spans += self._text.end()
        scored += self._released()
        return Delta(self.number, spans, scored, tokens, news.finish_reason)

    def _see(self, token: int, logprobs: Logprobs | None) -> None:
        name = self._specials.get(token)
        if name is not None:
            self._in_tool = name in (special.PYTHON_START, special.OUTPUT_START)
        counts = not self._of_text_only or (name is None and not self._in_tool)
        if logprobs is not None and counts:
            self._scored.append(Scored(token, logprobs))

    def _released(self) -> list[Scored]:
        scored, self._scored = self._scored, []
        return scored


Answers = AsyncGenerator[list[Delta], None]


async def start(service: Service, plan: Plan, deadline: float) -> Answers:
    """The deltas of all choices until each has ended, the first of them there already.

    Raises ApiError where the queue is full, the engine fails, or nothing came until ``deadline`` (of the event loop's
    clock); later ones are raised by the generator.  Closing it gives the slots free.
    """
    started = time.perf_counter()
    service.metrics.prompt_tokens.inc(plan.prompt_tokens)
    kept = service.cache.get(plan.key)
    answers = _replayed(kept) if kept is not None else _generated(service, plan, deadline)
    first = await anext(answers)
    service.metrics.first_token.observe(time.perf_counter() - started)
    return _from(first, answers)


async def _from(first: list[Delta], rest: Answers) -> Answers:
    try:
        yield first
        async for deltas in rest:
            yield deltas
    finally:
        await rest.aclose()


async def _replayed(deltas: list[Delta]) -> Answers:
    yield deltas


async def _generated(service: Service, plan: Plan, deadline: float) -> Answers:
    generations = plan.generations(service.tokenizer)
    choices = [Choice(number, service.tokenizer, plan) for number in range(len(generations))]
    job = service.scheduler.submit(generations)
    kept: list[Delta] = []
    try:
        while not all(choice.ended for choice in choices):
            deltas = []
            for news in await _news(job, deadline):
                choice = choices[news.choice]
                if not choice.ended:
                    deltas.append(choice.take(news))
                    if deltas[-1].finish_reason is not None:
                        generations[news.choice].cancel()
            kept += deltas
            service.metrics.tokens.inc(sum(delta.tokens for delta in deltas))
            yield deltas
    finally:
        service.scheduler.cancel(job)
    whole = [merged(number, kept) for number in range(len(choices))]
    service.cache.put(plan.key, whole, sum(map(_size, whole)))


def merged(number: int, deltas: list[Delta]) -> Delta:
    """All that came of a choice, as one."""
    own = [delta for delta in deltas if delta.choice == number]
    return Delta(
        number,
        joined([span for delta in own for span in delta.spans]),
        [scored for delta in own for scored in delta.scored],
        sum(delta.tokens for delta in own),
        own[-1].finish_reason,
    )


def joined(spans: list[Span]) -> list[Span]:
    """The spans, texts that follow each other as one."""
    result: list[Span] = []
    for kind, group in itertools.groupby(spans, key=lambda span: span.kind):
        texts = [span.text for span in group]
        result += [Span(kind, "".join(texts))] if kind == "text" else [Span(kind, text) for text in texts]
    return result


def _size(delta: Delta) -> int:
    """About how many bytes it takes."""
    probabilities = sum(1 + len(logprobs.top) for _, logprobs in delta.scored if logprobs is not None)
    return 500 + sum(100 + len(text) for _, text in delta.spans) + 150 * probabilities


async def _news(job: Job, deadline: float) -> list[News]:
    try:
        async with asyncio.timeout_at(deadline):
            return await job.news()
    except TimeoutError:
        raise ApiError(503, "the answer took longer than the server waits (--timeout)", code="timeout") from None
    except Exception as error:
        raise of(error) from error
