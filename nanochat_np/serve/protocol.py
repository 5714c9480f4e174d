"""What clients send: the records of OpenAI's requests and of upstream's, with types and ranges.

A field that a record does not have is refused, never ignored: who asks for ``tools`` should not get an answer that
looks as if there were none to call.
"""

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from nanochat_np.text.conversation import Part

MAX_MESSAGES = 500
MAX_CHOICES = 128
MAX_TOKENS = 4096

Tokens = Annotated[int, Meta(ge=1, le=MAX_TOKENS)]
Penalty = Annotated[float, Meta(ge=-2, le=2)]
StopString = Annotated[str, Meta(min_length=1)]
_BIASES = Meta(
    description="token id to what is added to its logit",
    extra_json_schema={"propertyNames": {"pattern": r"^\d+$"}},
)
Bias = Annotated[float, Meta(ge=-100, le=100)]


class Record(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """An object of a request."""


class TextPart(Record, frozen=True, tag_field="type", tag="text"):
    """A piece of a message."""

    text: str

    def as_part(self) -> Part:
        """As `text.conversation` takes it."""
        return Part("text", self.text)


class PythonPart(Record, frozen=True, tag_field="type", tag="python"):
    """What the assistant gave its calculator."""

    text: str

    def as_part(self) -> Part:
        """As `text.conversation` takes it."""
        return Part("python", self.text)


class PythonOutputPart(Record, frozen=True, tag_field="type", tag="python_output"):
    """What the calculator answered."""

    text: str

    def as_part(self) -> Part:
        """As `text.conversation` takes it."""
        return Part("python_output", self.text)


class ImagePart(Record, frozen=True, tag_field="type", tag="image_url"):
    """An image, which no model here can see: known by name to be refused by name."""

    image_url: dict[str, str]


class ChatMessage(Record, frozen=True, kw_only=True):
    """A turn."""

    role: Literal["system", "user", "assistant"]
    content: str | list[TextPart | PythonPart | PythonOutputPart | ImagePart]
    name: str | None = None


class StreamOptions(Record, frozen=True, kw_only=True):
    """Of a stream."""

    include_usage: Annotated[bool, Meta(description="a last chunk with the counts of tokens")] = False


class Request(Record, frozen=True, kw_only=True):
    """What requests of both kinds say about the choice of tokens.  None stands for the default."""

    model: Annotated[str, Meta(min_length=1)]
    max_tokens: Annotated[Tokens | None, Meta(description="tokens of an answer (default: what the context holds)")] = (
        None
    )
    temperature: Annotated[float, Meta(ge=0, le=2)] | None = None
    top_p: Annotated[float, Meta(ge=0, le=1)] | None = None
    top_k: Annotated[int, Meta(ge=0, le=200, description="0 is all")] | None = None
    min_p: Annotated[float, Meta(ge=0, le=1)] | None = None
    n: Annotated[int, Meta(ge=1, le=MAX_CHOICES)] | None = None
    seed: Annotated[int, Meta(ge=-(2**63), le=2**63 - 1)] | None = None
    stop: StopString | Annotated[list[StopString], Meta(max_length=4)] | None = None
    presence_penalty: Penalty | None = None
    frequency_penalty: Penalty | None = None
    repetition_penalty: Annotated[float, Meta(gt=0, le=2)] | None = None
    logit_bias: Annotated[dict[int, Bias] | None, _BIASES] = None
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    user: str | None = None

    @property
    def stops(self) -> tuple[str, ...]:
        """The stop strings."""
        return (self.stop,) if isinstance(self.stop, str) else tuple(self.stop or ())

    @property
    def includes_usage(self) -> bool:
        """Whether a stream ends with the counts of tokens."""
        return self.stream_options is not None and self.stream_options.include_usage


class ChatRequest(Request, frozen=True, kw_only=True):
    """POST /v1/chat/completions."""

    messages: Annotated[list[ChatMessage], Meta(min_length=1, max_length=MAX_MESSAGES)]
    max_completion_tokens: Tokens | None = None
    logprobs: bool | None = None
    top_logprobs: Annotated[int, Meta(ge=0, le=20)] | None = None


class CompletionRequest(Request, frozen=True, kw_only=True):
    """POST /v1/completions.  The prompt: a text, texts, token ids, or lists of them."""

    prompt: str | Annotated[list[str | int | list[int]], Meta(min_length=1, max_length=MAX_CHOICES * 256)]
    max_tokens: Annotated[int, Meta(ge=0, le=MAX_TOKENS)] | None = None
    echo: Annotated[bool, Meta(description="the answer begins with the prompt")] | None = None
    logprobs: Annotated[int, Meta(ge=0, le=20)] | None = None


class UpstreamMessage(Record, frozen=True, kw_only=True):
    """A turn as upstream's page sends it."""

    role: Literal["user", "assistant"]
    content: Annotated[str, Meta(min_length=1, max_length=8000)]


class UpstreamRequest(Record, frozen=True, kw_only=True):
    """POST /chat/completions, with upstream's limits."""

    messages: Annotated[list[UpstreamMessage], Meta(min_length=1, max_length=MAX_MESSAGES)]
    temperature: Annotated[float, Meta(ge=0, le=2)] | None = None
    top_k: Annotated[int, Meta(ge=0, le=200)] | None = None
    max_tokens: Tokens | None = None


class InvalidateRequest(Record, frozen=True, kw_only=True):
    """POST /cache/invalidate."""

    pattern: Annotated[str, Meta(max_length=1000, description="shell-style, of requests as JSON; none: all")] | None = (
        None
    )


class TokenizeRequest(Record, frozen=True, kw_only=True):
    """POST /tokenize."""

    prompt: str
    model: str | None = None
    add_special_tokens: Annotated[bool, Meta(description="begin with the token that begins a document")] = False


class DetokenizeRequest(Record, frozen=True, kw_only=True):
    """POST /detokenize."""

    tokens: list[int]
    model: str | None = None
