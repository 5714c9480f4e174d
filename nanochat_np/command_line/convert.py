"""From the texts of flags to a validated record, with errors that name the flag, the value and what is allowed."""

import math
import re
from typing import Any

import msgspec
from msgspec import inspect as shape

from nanochat_np.command_line.command import Flag, flags_of, plain
from nanochat_np.command_line.guard import FALSE, TRUE, did_you_mean, shown
from nanochat_np.config import Common
from nanochat_np.errors import ConfigError

_INT64 = 2**63 - 1  # what JSON files of a run hold without loss
_WHOLE = re.compile(r"[+-]?[0-9]+(_[0-9]+)*")


def to_record(record: type[Common], texts: dict[str, str]) -> Common:
    """The record with these flags and defaults for the others.  Raises ConfigError for a value out of type or range."""
    flags = flags_of(record)
    values = {}
    for name, text in texts.items():
        try:
            values[name] = _value(flags[name].kind, text)
        except (KeyError, ValueError):
            raise _refused(flags[name], text) from None
        except OverflowError:
            raise _refused(flags[name], text, ", below 2**63") from None
    try:
        return msgspec.convert(values, record)
    except msgspec.ValidationError as error:
        name = re.findall(r"\$\.(\w+)", str(error))[-1]
        raise _refused(flags[name], texts[name]) from None


def expected(flag: Flag) -> str:
    """What a flag takes, in words: ``a whole number, 1 or more``."""
    match flag.kind:
        case shape.BoolType():
            return "true or false"
        case shape.LiteralType(values=values):
            *others, last = map(str, values)
            return f"{', '.join(others)} or {last}" if others else last
        case shape.StrType(pattern=str()):
            return flag.description
        case shape.IntType() | shape.FloatType() as number:
            kind = "a whole number" if isinstance(number, shape.IntType) else "a number"
            return ", ".join(filter(None, (kind, bounds(number))))
        case shape.VarTupleType(item_type=item):
            inner = plain(item)
            if isinstance(inner, shape.LiteralType):
                return f"{', '.join(map(str, inner.values))}, separated by commas"
            limits = bounds(inner) if isinstance(inner, shape.IntType) else ""
            return "whole numbers separated by commas" + (f", each {limits}" if limits else "")
        case _:
            return "text"


def bounds(number: shape.IntType | shape.FloatType) -> str:
    """``above 0 and below 1``; empty where there are none."""
    limits = {"above": number.gt, "at least": number.ge, "below": number.lt, "at most": number.le}
    return " and ".join(f"{word} {limit}" for word, limit in limits.items() if limit is not None)


def _value(kind: shape.Type, text: str) -> Any:
    """The text as its type asks, range unchecked.

    Raises KeyError or ValueError where it is of another type, OverflowError for an int of more than 64 bits.
    """
    match kind:
        case shape.BoolType():
            return {**dict.fromkeys(TRUE, True), **dict.fromkeys(FALSE, False)}[text.lower()]
        case shape.IntType():
            if not _WHOLE.fullmatch(text):
                raise ValueError
            if abs(int(text)) > _INT64:
                raise OverflowError
            return int(text)
        case shape.FloatType():
            value = float(text)
            if bounds(kind) and not math.isfinite(value):
                raise ValueError
            return value
        case shape.VarTupleType(item_type=item):
            return [_value(plain(item), part.strip()) for part in text.split(",")]
    return text


def _refused(flag: Flag, text: str, hint: str = "") -> ConfigError:
    if isinstance(flag.kind, shape.LiteralType):
        hint = did_you_mean(text, map(str, flag.kind.values)).rstrip(".")
    return ConfigError(f"{flag.option} {shown(text)}: expected {expected(flag)}{hint}")
