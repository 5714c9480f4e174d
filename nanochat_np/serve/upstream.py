"""POST /chat/completions: the protocol of upstream's page.  Source: karpathy/nanochat before da32e1d, chat_web.py."""

from collections.abc import AsyncGenerator

from starlette.responses import Response

from nanochat_np.serve import answer
from nanochat_np.serve.answer import Answers
from nanochat_np.serve.chat import plan_of
from nanochat_np.serve.exchange import EventStream, event
from nanochat_np.serve.failure import ApiError
from nanochat_np.serve.plan import given
from nanochat_np.serve.protocol import ChatMessage, ChatRequest, UpstreamRequest
from nanochat_np.serve.service import Service

MAX_CHARACTERS = 32000  # of all messages together
TEMPERATURE, TOP_K, MAX_TOKENS = 0.8, 50, 512


async def respond(service: Service, request: UpstreamRequest, deadline: float) -> Response:
    """A stream of ``{"token", "gpu"}``, and ``{"done": true}``."""
    if sum(len(message.content) for message in request.messages) > MAX_CHARACTERS:
        raise ApiError(400, f"the messages have more than {MAX_CHARACTERS} characters", "messages", "invalid_value")
    full = ChatRequest(
        model=service.settings.model,
        messages=[ChatMessage(role=message.role, content=message.content) for message in request.messages],
        temperature=given(request.temperature, TEMPERATURE),
        top_k=given(request.top_k, TOP_K),
        max_tokens=given(request.max_tokens, MAX_TOKENS),
    )
    plan = await service.prepared(plan_of, service, full)
    return EventStream(_stream(await answer.start(service, plan, deadline)), {})


async def _stream(answers: Answers) -> AsyncGenerator[bytes, None]:
    try:
        async for deltas in answers:
            texts = [span.text for delta in deltas for span in delta.spans if span.kind == "text"]
            if texts:
                yield event({"token": "".join(texts), "gpu": 0})
    finally:
        await answers.aclose()
    yield event({"done": True})
