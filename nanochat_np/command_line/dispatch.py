"""Fire's part: the command table, and the flags of a call bound to the command's function."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from nanochat_np.command_line.command import PROGRAM, Command
from nanochat_np.command_line.convert import to_record
from nanochat_np.config import Common


@dataclass(frozen=True)
class Call:
    """A command with its validated flags, ready to run; ``given`` are the fields named on the command line."""

    command: Command
    config: Common
    given: frozenset[str]


def bind(commands: Iterable[Command], name: str, texts: dict[str, str]) -> Call:
    """Let Fire find the command and bind the texts of its flags.  Raises ConfigError for a value that does not fit.

    Nothing of the command runs inside Fire, which would print its result and go on to look for members of it.
    """
    import fire

    tokens = [name, *(f"--{field}={text}" for field, text in texts.items())]
    table = {command.name: _binder(command) for command in commands}
    call: Call = fire.Fire(table, command=tokens, name=PROGRAM, serialize=lambda call: None)
    return call


def _binder(command: Command) -> Callable[..., Call]:
    from fire.decorators import SetParseFn

    @SetParseFn(str)  # a text stays a text: Fire would make 1000.0 of 1e3 and nothing of None
    def call(**texts: str) -> Call:
        return Call(command, to_record(command.record, texts), frozenset(texts))

    return call
