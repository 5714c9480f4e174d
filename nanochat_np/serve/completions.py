"""POST /v1/completions: text goes on, without a conversation."""

import secrets
from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import msgspec
from starlette.responses import Response

from nanochat_np.serve import answer
from nanochat_np.serve.answer import Answers, Delta
from nanochat_np.serve.exchange import EventStream, event, now
from nanochat_np.serve.failure import ApiError
from nanochat_np.serve.plan import Plan, given, repeatable, require_tokens, sampling
from nanochat_np.serve.probabilities import Scored, completion_form
from nanochat_np.serve.protocol import MAX_CHOICES, CompletionRequest
from nanochat_np.serve.scoring import score
from nanochat_np.serve.service import Service


@dataclass(frozen=True)
class Beginning:
    """What comes before the first new token of a choice, with ``echo``: nothing without."""

    text: str = ""
    scored: tuple[Scored, ...] = ()


async def respond(service: Service, request: CompletionRequest, deadline: float) -> Response:
    """The continuation of each prompt, at once or as a stream."""
    service.require_model(request.model)
    plan = await service.prepared(_plan, service, request)
    beginnings = await _beginnings(service, request, plan)
    answers = await answer.start(service, plan, deadline)
    writer = _Writer(service, request, plan, beginnings)
    if request.stream:
        return EventStream(_stream(request, writer, answers), {})
    return Response(await _whole(writer, answers), 200, media_type="application/json")


def _plan(service: Service, request: CompletionRequest) -> Plan:
    prompts = [_ids(service, prompt) for prompt in _prompts(request.prompt)]
    n = request.n or 1
    if len(prompts) * n > MAX_CHOICES:
        message = f"{len(prompts)} prompts with {n} answers each are more than {MAX_CHOICES}"
        raise ApiError(400, message, "prompt", "invalid_value")
    tokens = given(request.max_tokens, 16)  # OpenAI's default
    return Plan(
        prompts=prompts,
        sampling=sampling(request, service.tokenizer, tokens, request.logprobs),
        n=n,
        stop=request.stops,
        chat=False,
        ends=not (request.echo and request.logprobs is not None),  # who scores a text counts on as many tokens as asked
        key=service.key(request) if repeatable(request) else None,
    )


def _prompts(prompt: str | list[str | int | list[int]]) -> Sequence[str | list[int]]:
    """The prompts of a request, one by one.  Raises ApiError for a list of texts and ids."""
    if isinstance(prompt, str):
        return [prompt]
    kinds = {type(each) for each in prompt}
    if len(kinds) > 1:
        message = "a list of prompts holds texts, token ids, or lists of token ids, and not several of these"
        raise ApiError(400, message, "prompt", "invalid_value")
    if kinds == {int}:
        return [prompt]  # type: ignore[list-item]
    return prompt  # type: ignore[return-value]


def _ids(service: Service, prompt: str | list[int]) -> list[int]:
    """The token ids of a prompt.  It begins a document: the token that says so is put before it, unless it is there."""
    tokenizer, context = service.tokenizer, service.context
    if isinstance(prompt, str):
        if len(prompt.encode(errors="replace")) > context * max(map(len, tokenizer.tokens)):
            raise ApiError(400, "the prompt is longer than the context", "prompt", "context_length_exceeded")
        ids: list[int] = tokenizer.encode(prompt).tolist()
    else:
        ids = prompt
    require_tokens(tokenizer, ids, "prompt")
    if ids[:1] != [tokenizer.bos]:
        ids = [tokenizer.bos, *ids]
    if len(ids) >= context:
        message = f"the prompt has {len(ids)} tokens, and the context holds {context} with the answer"
        raise ApiError(400, message, "prompt", "context_length_exceeded")
    return ids


async def _beginnings(service: Service, request: CompletionRequest, plan: Plan) -> list[Beginning]:
    """The prompts as answers with ``echo`` begin with them."""
    if not request.echo:
        return [Beginning()] * len(plan.prompts)
    tokenizer, found = service.tokenizer, []
    for ids, prompt in zip(plan.prompts, _prompts(request.prompt), strict=True):
        first = 0 if prompt == ids else 1  # a token that was put before the prompt is not the client's
        scored: tuple[Scored, ...] = ()
        if request.logprobs is not None:
            every = await service.scheduler.call(partial(score, service.engine, ids, request.logprobs))
            scored = tuple(map(Scored, ids, every))[first:]
        text = tokenizer.decode([token for token in ids if token < len(tokenizer.tokens)])
        found.append(Beginning(text, scored))
    return found


class _Writer:
    """From deltas to the objects of the protocol."""

    def __init__(self, service: Service, request: CompletionRequest, plan: Plan, beginnings: list[Beginning]) -> None:
        self._tokenizer, self._plan = service.tokenizer, plan
        self._wants_logprobs = request.logprobs is not None
        self.beginnings = [beginning for beginning in beginnings for _ in range(plan.n)]
        self._offsets = [0 for _ in self.beginnings]
        self._fields = {
            "id": f"cmpl-{secrets.token_hex(12)}",
            "object": "text_completion",
            "created": now(),
            "model": service.settings.model,
        }

    def choice(self, index: int, text: str, scored: Sequence[Scored], finish_reason: str | None) -> dict[str, Any]:
        """A choice, or the next part of one."""
        logprobs = None
        if self._wants_logprobs:
            logprobs = completion_form(self._tokenizer, scored, self._offsets[index])
        self._offsets[index] += len(text)
        return {"index": index, "text": text, "logprobs": logprobs, "finish_reason": finish_reason}

    def part(self, delta: Delta) -> dict[str, Any]:
        """What is new of a choice."""
        return self.choice(delta.choice, _text_of(delta), delta.scored, delta.finish_reason)

    def with_choices(self, choices: list[dict[str, Any]]) -> dict[str, Any]:
        """The object of these choices."""
        return {**self._fields, "choices": choices}

    def usage(self, tokens: int) -> dict[str, int]:
        """The counts of tokens."""
        before = self._plan.prompt_tokens
        return {"prompt_tokens": before, "completion_tokens": tokens, "total_tokens": before + tokens}


def _text_of(delta: Delta) -> str:
    return "".join(span.text for span in delta.spans)


async def _stream(request: CompletionRequest, writer: _Writer, answers: Answers) -> AsyncGenerator[bytes, None]:
    usage = {"usage": None} if request.includes_usage else {}
    for index, beginning in enumerate(writer.beginnings):
        if beginning != Beginning():
            choice = writer.choice(index, beginning.text, beginning.scored, None)
            yield event({**writer.with_choices([choice]), **usage})
    tokens = 0
    try:
        async for deltas in answers:
            tokens += sum(delta.tokens for delta in deltas)
            told = [delta for delta in deltas if delta.spans or delta.finish_reason]
            if told:
                yield b"".join(event({**writer.with_choices([writer.part(delta)]), **usage}) for delta in told)
    finally:
        await answers.aclose()
    if request.includes_usage:
        yield event({**writer.with_choices([]), "usage": writer.usage(tokens)})
    yield b"data: [DONE]\n\n"


async def _whole(writer: _Writer, answers: Answers) -> bytes:
    found = [delta async for deltas in answers for delta in deltas]
    choices = [answer.merged(number, found) for number in range(len(writer.beginnings))]
    tokens = sum(choice.tokens for choice in choices)
    content = writer.with_choices([_choice(writer, choice) for choice in choices])
    return msgspec.json.encode({**content, "usage": writer.usage(tokens)})


def _choice(writer: _Writer, whole: Delta) -> dict[str, Any]:
    beginning = writer.beginnings[whole.choice]
    text, scored = beginning.text + _text_of(whole), [*beginning.scored, *whole.scored]
    return writer.choice(whole.choice, text, scored, whole.finish_reason)
