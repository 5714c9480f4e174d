"""``infer``: one prompt answered, or continued, as it comes."""

import itertools
import sys
import time
from collections.abc import Iterable, Iterator
from operator import itemgetter

import msgspec

from nanochat_np.command_line.console import out, progress
from nanochat_np.commands.answer_view import PlainView
from nanochat_np.commands.writing import Opened, opened, sampling_of
from nanochat_np.config import InferConfig, stop_strings
from nanochat_np.errors import ConfigError, DataError, MessageTooLong, PromptTooLong
from nanochat_np.infer.answer import Span
from nanochat_np.infer.answering import Answer, told
from nanochat_np.infer.document import document_prompt
from nanochat_np.infer.generation import FinishReason, Generation
from nanochat_np.infer.gpt_engine import GPTEngine
from nanochat_np.infer.tool import Tool
from nanochat_np.text.conversation import Message, Part, stop_ids
from nanochat_np.text.fit import fit_conversation, room_beside, with_end_of

_SLOTS = 16  # answers that are written at a time


class Inferred(msgspec.Struct, frozen=True, kw_only=True):
    """An answer: ``text`` without calls of the tool, ``parts`` with them, ``tokens`` how many it took."""

    text: str
    parts: list[Part]
    tokens: int
    finish_reason: FinishReason | None


class InferSummary(msgspec.Struct, frozen=True, kw_only=True):
    """Seconds to the first text, and tokens per second of all answers together, count from when the model is there."""

    command: str = "infer"
    schema: int = 1
    checkpoint: str
    stage: str
    step: int
    device: str
    chat: bool
    prompt_tokens: int
    answers: list[Inferred]
    load_seconds: float
    first_token_seconds: float
    tokens_per_sec: float


def run(config: InferConfig, given: frozenset[str]) -> InferSummary:
    """Write all answers, and show one after the other."""
    started = time.perf_counter()
    stop, prompt = stop_strings(config.stop), _prompt(config)
    model = opened(config, min(config.num_samples, _SLOTS))
    chat = model.converses if config.chat is None else config.chat
    if not chat:
        _refuse_idle(given)
    ids = _conversation(config, model, prompt) if chat else _document(config, model, prompt)
    tokenizer = model.engine.tokenizer
    answers = [
        Answer(
            Generation(
                ids,
                sampling_of(config),
                stop=stop_ids(tokenizer) if chat else {tokenizer.bos},
                tool=Tool(tokenizer) if chat and config.tool else None,
                sample=sample,
            ),
            tokenizer,
            stop,
        )
        for sample in range(config.num_samples)
    ]
    times = [time.perf_counter()]
    pieces = _watched(config, model.engine, answers, times)
    _show(pieces if config.stream else list(pieces))
    return InferSummary(
        checkpoint=str(model.checkpoint),
        stage=model.meta.stage,
        step=model.meta.step,
        device=model.engine.device.name,
        chat=chat,
        prompt_tokens=len(ids),
        answers=[
            Inferred(text=a.text, parts=a.parts, tokens=len(a.generation.tokens), finish_reason=a.finish_reason)
            for a in answers
        ],
        load_seconds=times[0] - started,
        first_token_seconds=times[1] - times[0],
        tokens_per_sec=_tokens(answers) / (times[-1] - times[0]),
    )


def _prompt(config: InferConfig) -> str:
    """The argument, or what is piped in without the line end that ends it.  Raises ConfigError for no text at all."""
    prompt = config.prompt if config.prompt is not None else _piped()
    if not prompt.strip():
        raise ConfigError("the prompt is empty: give a text, or use sample for one that begins with nothing")
    return prompt


def _piped() -> str:
    if sys.stdin is None or sys.stdin.isatty():
        raise ConfigError('infer needs a prompt: write infer "TEXT", or pipe one in')
    try:
        text = sys.stdin.buffer.read().decode()
    except UnicodeDecodeError as error:
        raise DataError(f"stdin: not valid UTF-8 at byte {error.start}") from None
    return text.removesuffix("\n").removesuffix("\r")


def _refuse_idle(given: frozenset[str]) -> None:
    for name in sorted(given & {"system", "tool"}):
        raise ConfigError(
            f"--{name} does nothing where the text is continued as a document: leave it out, or use --chat"
        )


def _conversation(config: InferConfig, model: Opened, prompt: str) -> list[int]:
    tokenizer, room = model.engine.tokenizer, _room(config, model)
    messages = [Message("user", prompt)]
    if config.system is not None:
        messages.insert(0, Message("system", config.system))
    try:
        if config.truncate_prompt:
            messages = with_end_of(tokenizer, messages, room)
        return fit_conversation(tokenizer, messages, room)[0]
    except MessageTooLong as error:
        raise PromptTooLong(error.tokens, error.room) from None


def _document(config: InferConfig, model: Opened, prompt: str) -> list[int]:
    return document_prompt(model.engine.tokenizer, prompt, _room(config, model), config.truncate_prompt)


def _room(config: InferConfig, model: Opened) -> int:
    """Tokens that the prompt may have: all but one of the context, unless it may be cut to leave more to the answer."""
    context = model.engine.config.sequence_len
    return room_beside(config.max_tokens, context) if config.truncate_prompt else context - 1


def _show(pieces: Iterable[tuple[Answer, list[Span]]]) -> None:
    """Print one answer after the other; what is there when Ctrl-C comes stays, on a line of its own."""
    for number, (_, of_answer) in enumerate(itertools.groupby(pieces, key=itemgetter(0))):
        if number:
            out("-" * 8)
        view = PlainView()
        try:
            for _, spans in of_answer:
                view.show(spans)
        finally:
            view.end()


def _watched(
    config: InferConfig, engine: GPTEngine, answers: list[Answer], times: list[float]
) -> Iterator[tuple[Answer, list[Span]]]:
    """What comes and when, with a bar on stderr where the text is not shown yet."""
    with progress(config.max_tokens * len(answers), config.quiet or config.stream) as bar:
        for piece in told(engine, answers):
            times.append(time.perf_counter())
            bar.update(_tokens(answers))
            yield piece


def _tokens(answers: list[Answer]) -> int:
    return sum(len(answer.generation.tokens) for answer in answers)
