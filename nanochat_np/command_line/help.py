"""The texts of ``--help``, made from the records, so that they say what the program does."""

import inspect
import shutil
import textwrap
from collections.abc import Iterable

from msgspec import inspect as shape

import nanochat_np
from nanochat_np.command_line.command import PROGRAM, Command, Flag, flags_of, plain
from nanochat_np.command_line.convert import bounds
from nanochat_np.command_line.guard import find_command
from nanochat_np.config import Common
from nanochat_np.errors import ConfigError

HELP = frozenset({"--help", "-h"})
_INDENT, _COLUMN = "  ", 32  # where meanings begin, or half-way on a narrow terminal


def requested(commands: Iterable[Command], arguments: list[str]) -> str | None:
    """The text to print where the arguments ask for help or the version, or there are none; else None.

    Raises ConfigError for help on a command that does not exist.
    """
    if arguments == ["--version"]:
        return f"nanochat-np {nanochat_np.__version__}"
    if arguments[:1] == ["help"]:
        names = [argument for argument in arguments[1:] if argument not in HELP]
    elif not arguments or HELP & set(arguments):
        names = [argument for argument in arguments[:1] if not argument.startswith("-")]
    else:
        return None
    if len(names) > 1:
        raise ConfigError(f"help takes one command: {PROGRAM} help {names[0]}")
    return of_command(find_command(commands, names[0])) if names else of_program(commands)


def of_program(commands: Iterable[Command]) -> str:
    """The commands with a line each."""
    lines = [*_wrapped(nanochat_np.__doc__ or "", ""), "", f"usage: {PROGRAM} COMMAND [--flag value ...]", ""]
    for command in commands:
        lines += _entry(command.name, _summary(command.record), column=12)
    lines += ["", *_wrapped(f"Flags of a command: {PROGRAM} COMMAND --help. Version: {PROGRAM} --version.", "")]
    lines += _wrapped("Exit codes: 0 done, 1 usage, 2 data, 3 computing, 4 checkpoint, 130 interrupted.", "")
    return "\n".join(lines)


def of_command(command: Command) -> str:
    """Every flag with what it takes, its default and its meaning; then examples."""
    flags = flags_of(command.record)
    positional = "".join(f" [{flag.name.upper()}]" for flag in flags.values() if flag.positional)
    lines = [f"usage: {PROGRAM} {command.name}{positional} [--flag value ...]", ""]
    lines += _wrapped(_summary(command.record), "")
    for owner in _groups(command.record):
        group = [flag for flag in flags.values() if flag.owner is owner]
        if group:
            heading = f"Flags of {command.name}" if owner is command.record else _summary(owner).rstrip(".")
            lines += ["", f"{heading}:"]
            for flag in group:
                lines += _entry(_usage(flag), _meaning(flag), min(_COLUMN, _width() // 2))
    return "\n".join([*lines, *_examples(command.record)])


def _groups(record: type[Common]) -> list[type]:
    """The classes that declare the flags: the command's own, then from the base upwards, and last what all share."""
    own, *inherited = record.__mro__
    shared = Common.__mro__
    return [own, *(base for base in reversed(inherited) if base not in shared), *shared]


def _usage(flag: Flag) -> str:
    """The flag with its choices or the kind of its value."""
    match flag.kind:
        case shape.BoolType():
            return f"--[no-]{flag.option[2:]}" if flag.default else flag.option
        case shape.LiteralType(values=values):
            value = "|".join(map(str, values))
        case shape.IntType():
            value = "N"
        case shape.FloatType():
            value = "X"
        case shape.VarTupleType(item_type=item):
            value = "N,N,..." if isinstance(plain(item), shape.IntType) else "NAME,..."
        case _:
            value = "TEXT"
    return f"{flag.option} {value}"


def _meaning(flag: Flag) -> str:
    """Description, range and default.  A default of None depends on other flags and is in the description."""
    notes = []
    if isinstance(flag.kind, shape.IntType | shape.FloatType) and bounds(flag.kind):
        notes.append(bounds(flag.kind))
    if flag.default not in (None, ()):
        notes.append(f"default {_default(flag)}")
    return f"{flag.description} [{', '.join(notes)}]" if notes else flag.description


def _default(flag: Flag) -> str:
    if flag.is_switch:
        return "on" if flag.default else "off"
    if isinstance(flag.default, tuple):
        return ",".join(map(str, flag.default))
    return str(flag.default) or "empty"


def _summary(record: type) -> str:
    return inspect.cleandoc(record.__doc__ or "").partition("\n\n")[0].replace("\n", " ").replace("`", "")


def _examples(record: type[Common]) -> list[str]:
    """What follows the first paragraph of the docstring, as it stands."""
    rest = inspect.cleandoc(record.__doc__ or "").partition("\n\n")[2]
    return ["", *rest.splitlines()] if rest else []


def _entry(name: str, text: str, column: int) -> list[str]:
    """Name on the left, text from ``column`` on; the name stands alone where it is too long."""
    lines = _wrapped(text, " " * column)
    if len(_INDENT + name) < column - 1:
        return [(_INDENT + name).ljust(column) + lines[0].lstrip(), *lines[1:]]
    return [_INDENT + name, *lines]


def _width() -> int:
    return max(40, shutil.get_terminal_size().columns)


def _wrapped(text: str, indent: str) -> list[str]:
    return textwrap.wrap(
        text.partition("\n\n")[0],
        _width(),
        initial_indent=indent,
        subsequent_indent=indent,
        break_on_hyphens=False,
        break_long_words=False,
    )
