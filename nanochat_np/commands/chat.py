"""``chat``: a conversation in the terminal, or with each line of a pipe."""

import sys
from collections.abc import Iterator

import msgspec

from nanochat_np.command_line.console import tell
from nanochat_np.command_line.interruption import handled_by
from nanochat_np.commands.slash import WORDS, obey
from nanochat_np.commands.talk import Talk
from nanochat_np.commands.writing import Opened, opened, sampling_of
from nanochat_np.config import ChatConfig, stop_strings
from nanochat_np.errors import ConfigError, DataError, NanochatError
from nanochat_np.infer.session import Session
from nanochat_np.text.conversation import Message

_PROMPT = "> "


class ChatSummary(msgspec.Struct, frozen=True, kw_only=True):
    """The conversation as it was at its end."""

    command: str = "chat"
    schema: int = 1
    checkpoint: str
    stage: str
    step: int
    device: str
    messages: list[Message]


def run(config: ChatConfig, given: frozenset[str]) -> ChatSummary:
    """Talk until the person has had enough, or the pipe is empty."""
    stop = stop_strings(config.stop)
    if sys.stdin is None:
        raise ConfigError("chat reads what you say from stdin, which is closed")
    model = opened(config, slots=1)
    session = Session(model.engine, sampling_of(config), system=config.system, stop=stop, tool=config.tool)
    talk = Talk(session, config.quiet)
    if sys.stdin.isatty():
        _converse(talk, model)
    else:
        for line in _piped():
            _take(talk, line)
            if talk.over:
                break
    return ChatSummary(
        checkpoint=str(model.checkpoint),
        stage=model.meta.stage,
        step=model.meta.step,
        device=model.engine.device.name,
        messages=session.conversation,
    )


def _converse(talk: Talk, model: Opened) -> None:
    """Line after line from the terminal; what goes wrong with one is told, and the next one asked for."""
    talk.tell(f"{model.checkpoint} ({model.meta.stage}); /help tells what one can say, Ctrl-D ends")
    if not model.converses:
        talk.tell(f"(a model after {model.meta.stage} has not learnt to converse: it continues what it reads)")
    with handled_by(talk.interrupt):
        while not talk.over:
            try:
                line = _typed()
                if line is None:
                    break
                _take(talk, line)
            except NanochatError as error:
                tell(f"error: {error}")


def _typed() -> str | None:
    """The next line; None at the end of the input, or for Ctrl-C where nothing is typed."""
    try:
        import readline  # gives `input` its editing keys and its history
    except ImportError:
        readline = None  # type: ignore[assignment]
    try:
        return input(_PROMPT)
    except EOFError:
        tell()
        return None
    except KeyboardInterrupt:
        tell()
        return "" if readline and readline.get_line_buffer() else None
    except UnicodeDecodeError:
        raise DataError("what was typed is not valid UTF-8") from None


def _piped() -> Iterator[str]:
    """The lines of stdin.  Raises DataError for one that is not UTF-8."""
    for number, line in enumerate(sys.stdin.buffer, 1):
        try:
            yield line.decode()
        except UnicodeDecodeError:
            raise DataError(f"stdin: line {number} is not valid UTF-8") from None


def _take(talk: Talk, line: str) -> None:
    """One line that a person said."""
    text = line.strip()
    if line.startswith("/") or text.lower() in WORDS:
        obey(talk, WORDS.get(text.lower(), text))
    elif text:
        talk.show(talk.session.ask(text))
