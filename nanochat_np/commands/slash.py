"""What one can say to `chat` besides messages: /temperature 0.5, /clear, /save FILE, ..."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import NamedTuple

import msgspec

from nanochat_np.backend.files import told_as
from nanochat_np.command_line.command import flags_of
from nanochat_np.command_line.convert import expected, to_record
from nanochat_np.command_line.guard import did_you_mean, shown
from nanochat_np.commands.talk import Talk
from nanochat_np.config import ChatConfig
from nanochat_np.errors import ConfigError, DataError
from nanochat_np.text.conversation import Message, check_conversation


class Slash(NamedTuple):
    """What it takes and what it does."""

    takes: str
    meaning: str
    run: Callable[[Talk, str], None]


def obey(talk: Talk, line: str) -> None:
    """Do what a line says that begins with a slash.  Raises ConfigError for one that nobody knows, or a wrong value."""
    name, _, argument = line.strip().removeprefix("/").partition(" ")
    slash = SLASHES.get(name.lower())
    if slash is None:
        raise ConfigError(f"unknown command {shown('/' + name)}{did_you_mean(name, SLASHES, '/')} See: /help")
    if not slash.takes and argument:
        raise ConfigError(f"/{name} takes nothing, got {shown(argument)}")
    slash.run(talk, argument.strip())


def _setting(field: str) -> Callable[[Talk, str], None]:
    """A command that shows or sets a field of the sampling, with the range that its flag has."""

    def run(talk: Talk, text: str) -> None:
        session = talk.session
        if text:
            try:
                value = getattr(to_record(ChatConfig, {field: text}), field)
            except ConfigError:
                wanted = expected(flags_of(ChatConfig)[field])
                raise ConfigError(f"/{field.replace('_', '')} {shown(text)}: expected {wanted}") from None
            session.sampling = msgspec.structs.replace(session.sampling, **{field: value})
        talk.tell(f"{field.replace('_', '-')} {getattr(session.sampling, field):g}")

    return run


def _system(talk: Talk, text: str) -> None:
    if text:
        talk.session.system = None if text == "-" else text
    talk.tell(f"system: {talk.session.system or 'none'}")


def _clear(talk: Talk, _: str) -> None:
    talk.session.clear()
    talk.tell("a new conversation")


def _retry(talk: Talk, _: str) -> None:
    if not talk.session.messages:
        raise ConfigError("/retry: there is no answer yet")
    talk.show(talk.session.retry())


def _save(talk: Talk, name: str) -> None:
    """Add the conversation as a line of JSON, an array of messages."""
    path = _path("save", name)
    if not talk.session.messages:
        raise ConfigError("/save: nothing has been said yet")
    with told_as(DataError, f"/save {path}"), path.open("ab") as file:
        file.write(msgspec.json.encode(talk.session.conversation) + b"\n")
    talk.tell(f"{len(talk.session.conversation)} messages added to {path}")


def _load(talk: Talk, name: str) -> None:
    """Go on with the last conversation of such a file."""
    path = _path("load", name)
    with told_as(DataError, f"/load {path}"):
        lines = path.read_bytes().splitlines()
    try:
        messages = msgspec.json.decode(lines[-1] if lines else b"", type=list[Message])
        check_conversation(messages)
    except (msgspec.DecodeError, UnicodeError, DataError) as error:
        raise DataError(f"/load {path}: its last line is no conversation: {error}") from None
    if messages[-1].role == "user":
        raise DataError(f"/load {path}: its last line ends with the user's message, without an answer")
    session = talk.session
    session.system = str(messages.pop(0).content) if messages[0].role == "system" else None
    session.messages = messages
    talk.tell(f"{len(session.conversation)} messages from {path}")


def _path(name: str, text: str) -> Path:
    if not text:
        raise ConfigError(f"/{name} needs a file: /{name} FILE")
    return Path(text).expanduser()


def _help(talk: Talk, _: str) -> None:
    width = max(len(f"/{name} {slash.takes}") for name, slash in SLASHES.items())
    rows = [f"  {f'/{name} {slash.takes}':{width}}  {slash.meaning}" for name, slash in SLASHES.items()]
    rows.append("A line that begins with a space is a message, slash or not. Ctrl-C stops an answer, Ctrl-D ends.")
    talk.tell("\n".join(rows))


def _quit(talk: Talk, _: str) -> None:
    talk.over = True


SLASHES: Mapping[str, Slash] = {
    "temperature": Slash("[X]", "show or set the temperature, 0 to 2", _setting("temperature")),
    "topk": Slash("[N]", "show or set how many of the likeliest tokens are drawn from, 0 is all", _setting("top_k")),
    "topp": Slash("[X]", "show or set the probability that these hold together", _setting("top_p")),
    "system": Slash("[TEXT]", "show or set what the assistant is told before the conversation, - is nothing", _system),
    "retry": Slash("", "another answer in the place of the last one", _retry),
    "clear": Slash("", "begin a new conversation", _clear),
    "save": Slash("FILE", "add the conversation to a JSONL file, which sft --data reads", _save),
    "load": Slash("FILE", "go on with the last conversation of such a file", _load),
    "help": Slash("", "this list", _help),
    "quit": Slash("", "end; so do quit, exit and Ctrl-D", _quit),
}
WORDS: Mapping[str, str] = {"quit": "/quit", "exit": "/quit", "clear": "/clear"}  # upstream's
