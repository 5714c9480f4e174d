"""Flags from a TOML file: a section for each heading of the command's help, keys as the flags are called."""

import tomllib
from pathlib import Path
from typing import Any

from nanochat_np.command_line.command import Flag, flags_of
from nanochat_np.command_line.convert import to_record
from nanochat_np.command_line.guard import did_you_mean, shown
from nanochat_np.config import Common
from nanochat_np.errors import ConfigError


def with_file(record: type[Common], texts: dict[str, str]) -> dict[str, str]:
    """The texts of flags with those of the file that ``--config`` names, where the record has that flag.

    Raises ConfigError that names the file and the key.
    """
    if "config" not in texts:
        return texts
    path = Path(texts["config"]).expanduser()
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"--config {path}: cannot be read: {error.strerror}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"--config {path}: not TOML: {error}") from None
    try:
        of_file = _texts(record, content)
        to_record(record, of_file)
    except ConfigError as error:
        raise ConfigError(f"--config {path}: {error}") from None
    return of_file | texts


def _texts(record: type[Common], content: dict[str, Any]) -> dict[str, str]:
    sections: dict[str, dict[str, Flag]] = {}
    for flag in flags_of(record).values():
        if flag.owner not in (record, *Common.__mro__):
            sections.setdefault(section_of(flag), {})[flag.name] = flag
    texts = {}
    for section, values in content.items():
        if section not in sections or not isinstance(values, dict):
            known = f"{did_you_mean(section, sections)} Sections are {', '.join(sections)}"
            raise ConfigError(f"[{section}]: no such section{known}")
        for key, value in values.items():
            texts[_known(key, section, sections)] = _text(value)
    return texts


def _known(key: str, section: str, sections: dict[str, dict[str, Flag]]) -> str:
    """The name of the flag that a key means."""
    name = key.replace("-", "_")
    if name in sections[section]:
        return name
    for other, flags in sections.items():
        if name in flags:
            raise ConfigError(f"[{section}] {shown(key)}: belongs into [{other}]")
    raise ConfigError(f"[{section}] {shown(key)}: no such setting{did_you_mean(name, sections[section])}")


def section_of(flag: Flag) -> str:
    """The section that a flag stands in: the heading of its group in the help."""
    return (flag.owner.__doc__ or "").rstrip(".").lower()


def _text(value: Any) -> str:
    """A value as it would be typed."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, list):
        return ",".join(map(_text, value))
    return str(value)
