"""What a command is, and a flag of it as its record declares it."""

import functools
import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import msgspec.inspect

from nanochat_np.config import Common

PROGRAM = "python -m nanochat_np"
Summary = msgspec.Struct | dict[str, Any]


@dataclass(frozen=True)
class Command:
    """A name, the record of its flags, and what runs with the validated record and the names of the flags given."""

    name: str
    record: type[Common]
    run: Callable[[Any, frozenset[str]], Summary]


@dataclass(frozen=True)
class Flag:
    """A field of a record.  ``kind`` is msgspec's description of it without None; ``owner`` the class it stands in."""

    name: str
    kind: msgspec.inspect.Type
    default: Any
    description: str
    positional: bool
    owner: type

    @property
    def option(self) -> str:
        """The flag as it is typed."""
        return "--" + self.name.replace("_", "-")

    @property
    def is_switch(self) -> bool:
        """Whether it may stand without a value."""
        return isinstance(self.kind, msgspec.inspect.BoolType)


@functools.cache
def flags_of(record: type[Common]) -> Mapping[str, Flag]:
    """The flags of a command by field name, in the order of the record."""
    information = msgspec.inspect.type_info(record)
    assert isinstance(information, msgspec.inspect.StructType)
    flags = {}
    for field in information.fields:
        outer = field.type
        extra = (outer.extra or {}) if isinstance(outer, msgspec.inspect.Metadata) else {}
        schema = (outer.extra_json_schema or {}) if isinstance(outer, msgspec.inspect.Metadata) else {}
        flags[field.name] = Flag(
            name=field.name,
            kind=plain(outer),
            default=field.default,
            description=schema.get("description", ""),
            positional=extra.get("positional", False),
            owner=next(base for base in record.__mro__ if field.name in inspect.get_annotations(base)),
        )
    return flags


def plain(kind: msgspec.inspect.Type) -> msgspec.inspect.Type:
    """The type inside of metadata and of ``... | None``."""
    if isinstance(kind, msgspec.inspect.Metadata):
        return plain(kind.type)
    if isinstance(kind, msgspec.inspect.UnionType):
        return plain(next(member for member in kind.types if not isinstance(member, msgspec.inspect.NoneType)))
    return kind
