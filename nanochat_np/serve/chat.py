"""POST /v1/chat/completions."""

import secrets
from collections.abc import AsyncGenerator
from typing import Any

import msgspec
from starlette.responses import Response

from nanochat_np.serve import answer
from nanochat_np.serve.answer import Answers, Delta
from nanochat_np.serve.exchange import EventStream, event, now
from nanochat_np.serve.failure import ApiError
from nanochat_np.serve.plan import Plan, repeatable, sampling
from nanochat_np.serve.probabilities import chat_form
from nanochat_np.serve.prompt import of_messages
from nanochat_np.serve.protocol import ChatRequest
from nanochat_np.serve.service import Service


async def respond(service: Service, request: ChatRequest, deadline: float) -> Response:
    """The answer to a conversation, at once or as a stream."""
    service.require_model(request.model)
    plan = await service.prepared(plan_of, service, request)
    answers = await answer.start(service, plan, deadline)
    head = _Head(service, request, plan)
    if request.stream:
        return EventStream(_stream(service, request, head, answers), head.headers)
    return Response(await _whole(service, request, head, answers), 200, head.headers, "application/json")


def plan_of(service: Service, request: ChatRequest) -> Plan:
    """What a conversation asks for.  Raises ApiError."""
    if request.top_logprobs is not None and not request.logprobs:
        raise ApiError(400, "top_logprobs needs logprobs: true", "top_logprobs", "invalid_value")
    asked = request.max_completion_tokens or request.max_tokens
    prompt = of_messages(service.tokenizer, request.messages, service.context, asked)
    logprobs = (request.top_logprobs or 0) if request.logprobs else None
    return Plan(
        prompts=[prompt.ids],
        sampling=sampling(request, service.tokenizer, asked or service.context, logprobs),
        n=request.n or 1,
        stop=request.stops,
        chat=True,
        key=service.key(request) if repeatable(request) else None,
        dropped=prompt.dropped,
    )


class _Head:
    """What all chunks of an answer say."""

    def __init__(self, service: Service, request: ChatRequest, plan: Plan) -> None:
        self._fields = {
            "id": f"chatcmpl-{secrets.token_hex(12)}",
            "object": "chat.completion.chunk" if request.stream else "chat.completion",
            "created": now(),
            "model": service.settings.model,
        }
        self.n, self._prompt_tokens, self._dropped = plan.n, plan.prompt_tokens, plan.dropped
        self._usage = {"usage": None} if request.includes_usage else {}

    @property
    def headers(self) -> dict[str, str]:
        """Which messages were left out of the prompt."""
        return {"x-context-dropped-messages": str(self._dropped)} if self._dropped else {}

    def chunk(self, index: int, delta: dict[str, Any], finish_reason: str | None, logprobs: Any = None) -> bytes:
        """An event about one choice."""
        choice = {"index": index, "delta": delta, "logprobs": logprobs, "finish_reason": finish_reason}
        return event({**self.with_choices([choice]), **self._usage})

    def with_choices(self, choices: list[dict[str, Any]]) -> dict[str, Any]:
        """The object of these choices."""
        told = {"nanochat": {"dropped_messages": self._dropped}} if self._dropped else {}
        return {**self._fields, "choices": choices, **told}

    def usage(self, tokens: int) -> dict[str, int]:
        """The counts of tokens."""
        total = self._prompt_tokens + tokens
        return {"prompt_tokens": self._prompt_tokens, "completion_tokens": tokens, "total_tokens": total}


async def _stream(service: Service, request: ChatRequest, head: _Head, answers: Answers) -> AsyncGenerator[bytes, None]:
    yield b"".join(head.chunk(index, {"role": "assistant", "content": ""}, None) for index in range(head.n))
    tokens = 0
    try:
        async for deltas in answers:
            tokens += sum(delta.tokens for delta in deltas)
            chunks = b"".join(chunk for delta in deltas for chunk in _chunks(service, request, head, delta))
            if chunks:
                yield chunks
    finally:
        await answers.aclose()
    if request.includes_usage:
        yield event({**head.with_choices([]), "usage": head.usage(tokens)})
    yield b"data: [DONE]\n\n"


def _chunks(service: Service, request: ChatRequest, head: _Head, delta: Delta) -> list[bytes]:
    """The events of what is new of a choice; the probabilities come with the first of them."""
    logprobs = _logprobs(service, request, delta) if delta.scored else None
    chunks = []
    for span in delta.spans:
        content = {"content": span.text} if span.kind == "text" else {"nanochat": {span.kind: span.text}}
        chunks.append(head.chunk(delta.choice, content, None, logprobs))
        logprobs = None
    if delta.finish_reason is not None:
        chunks.append(head.chunk(delta.choice, {}, delta.finish_reason, logprobs))
    return chunks


async def _whole(service: Service, request: ChatRequest, head: _Head, answers: Answers) -> bytes:
    found = [delta async for deltas in answers for delta in deltas]
    choices = [answer.merged(number, found) for number in range(head.n)]
    tokens = sum(choice.tokens for choice in choices)
    content = head.with_choices([_choice(service, request, choice) for choice in choices])
    return msgspec.json.encode({**content, "usage": head.usage(tokens)})


def _choice(service: Service, request: ChatRequest, whole: Delta) -> dict[str, Any]:
    """One of the answers.  Its parts are told only where they are more than text."""
    content = "".join(span.text for span in whole.spans if span.kind == "text")
    message: dict[str, Any] = {"role": "assistant", "content": content}
    if any(span.kind != "text" for span in whole.spans):
        message["nanochat"] = {"parts": [{"type": kind, "text": text} for kind, text in whole.spans]}
    return {
        "index": whole.choice,
        "message": message,
        "logprobs": _logprobs(service, request, whole),
        "finish_reason": whole.finish_reason,
    }


def _logprobs(service: Service, request: ChatRequest, delta: Delta) -> dict[str, Any] | None:
    return {"content": chat_form(service.tokenizer, delta.scored)} if request.logprobs else None
