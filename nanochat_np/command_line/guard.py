"""The guard in front of Fire: which flags are given and with which text, or what is wrong with them.

Its result is one token a flag, ``--name=text``, which Fire cannot misread: not a text that is ``-`` (Fire's
separator) or ``--`` (what follows is for Fire itself), nor one that begins with a dash.
"""

import re
from collections.abc import Iterable, Mapping

from nanochat_np.command_line.command import PROGRAM, Command, Flag, flags_of
from nanochat_np.errors import ConfigError

TRUE = frozenset({"true", "1", "yes"})
FALSE = frozenset({"false", "0", "no"})
_LOOKS_LIKE_A_FLAG = re.compile(r"--[a-z][\w-]*(=.*)?", re.IGNORECASE | re.DOTALL)


def find_command(commands: Iterable[Command], name: str) -> Command:
    """The command of that name.  Raises ConfigError with the nearest one."""
    table = {command.name: command for command in commands}
    if name in table:
        return table[name]
    if name.startswith("-"):
        raise ConfigError(f"{shown(name)} stands before the command: write {PROGRAM} COMMAND {shown(name)}")
    raise ConfigError(f"unknown command {shown(name)}{did_you_mean(name, table)} See: {PROGRAM} --help")


def read_flags(command: Command, arguments: Iterable[str]) -> dict[str, str]:
    """The text of every flag given, by field name; a switch's is ``true`` or ``false``.

    Raises ConfigError for a name that is unknown or given twice, a value that is missing or not UTF-8, and an
    argument that is no flag.
    """
    flags = flags_of(command.record)
    texts: dict[str, str] = {}
    rest = list(reversed(list(arguments)))
    while rest:
        token = rest.pop()
        if token.startswith("-") and token.strip("-"):
            flag, text = _read_flag(command, flags, token, rest)
        else:
            flag, text = _positional(command, flags, texts, token), token
        if flag.name in texts:
            raise ConfigError(f"{flag.option} is given twice{_see(command)}")
        if not _is_utf8(text):
            raise ConfigError(f"{flag.option} {shown(text)}: not valid UTF-8")
        texts[flag.name] = text
    return texts


def _read_flag(command: Command, flags: Mapping[str, Flag], token: str, rest: list[str]) -> tuple[Flag, str]:
    """The flag that ``token`` names, and its text: after ``=``, or taken from the end of ``rest``, or implied."""
    typed, equals, text = token.partition("=")
    name = typed[2:].replace("-", "_") if typed.startswith("--") else ""
    flag = flags.get(name)
    if flag is None:
        switch = flags.get(name.removeprefix("no").removeprefix("_")) if name.startswith("no") else None
        if switch is None or not switch.is_switch:
            hint = did_you_mean(name or typed.strip("-"), [known.option[2:] for known in flags.values()], "--")
            raise ConfigError(f"unknown flag {shown(typed)} of {command.name}{hint}{_see(command, '')}")
        if equals:
            raise ConfigError(f"{shown(typed)} takes no value{_see(command)}")
        return switch, "false"
    if equals:
        return flag, text
    if flag.is_switch:
        return flag, rest.pop() if rest and rest[-1].lower() in TRUE | FALSE else "true"
    if not rest:
        raise ConfigError(f"{flag.option} needs a value{_see(command)}")
    if _LOOKS_LIKE_A_FLAG.fullmatch(rest[-1]):
        raise ConfigError(f"{flag.option} needs a value (if {shown(rest[-1])} is it: {flag.option}={shown(rest[-1])})")
    return flag, rest.pop()


def _positional(command: Command, flags: Mapping[str, Flag], texts: dict[str, str], token: str) -> Flag:
    """The first flag that may stand without its name and is not given yet."""
    for flag in flags.values():
        if flag.positional and flag.name not in texts:
            return flag
    raise ConfigError(f"unexpected argument {shown(token)} of {command.name}, flags begin with --{_see(command)}")


def asks_for(switch: str, arguments: Iterable[str]) -> bool:
    """Whether the switch is set, as far as arguments tell that do not pass: what shape the report of that has."""
    tokens = (argument.partition("=") for argument in arguments)
    return any(name == f"--{switch}" and value.lower() not in FALSE for name, _, value in tokens)


def did_you_mean(typed: str, known: Iterable[str], prefix: str = "") -> str:
    """``; did you mean X?`` with the known word that is nearest to the typed one, or ``.`` where none is near."""
    from difflib import get_close_matches  # only for an error: it costs a millisecond of start-up

    nearest = get_close_matches(typed.lower(), list(known), n=1)
    return f"; did you mean {prefix}{nearest[0]}?" if nearest else "."


def shown(text: str) -> str:
    """A value as part of a one-line message: short, with no control characters."""
    short = text if len(text) <= 60 else text[:57] + "..."
    return short if short.isprintable() and short and " " not in short else repr(short)


def _see(command: Command, end: str = ".") -> str:
    return f"{end} See: {PROGRAM} {command.name} --help"


def _is_utf8(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:  # bytes of the command line that are not UTF-8 arrive as lone surrogates
        return False
    return True
