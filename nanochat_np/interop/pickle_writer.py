"""Writing a pickle by its instructions: plain values, and calls of functions that other programs have.

The instructions are those of protocol 2, which PyTorch's restricted reader knows.  Those for bytes are of protocol 3:
readers take them at any number in the head, and PyTorch warns of any but 2 there.
"""

from typing import Any, NamedTuple


class Global(NamedTuple):
    """A class or function of a Python module."""

    module: str
    name: str


class Call(NamedTuple):
    """What a function makes of arguments."""

    function: Global
    arguments: tuple[Any, ...] = ()


class Instance(NamedTuple):
    """An object that its class makes of nothing and then gives a state."""

    cls: Global
    state: Any


class Persistent(NamedTuple):
    """What lies outside of the pickle and is found by a key."""

    key: tuple[Any, ...]


def pickled(value: Any) -> bytes:
    """The pickle of None, bool, int, str, bytes, tuple, dict and the classes above, one in another as you like."""
    return b"\x80\x02" + _instructions(value) + b"."


def _instructions(value: Any) -> bytes:
    match value:
        case None:
            return b"N"
        case bool():
            return b"\x88" if value else b"\x89"
        case int():
            digits = value.to_bytes(value.bit_length() // 8 + 1, "little", signed=True)
            return b"\x8a" + bytes([len(digits)]) + digits
        case str():
            return b"X" + _counted(value.encode())
        case bytes():
            return b"B" + _counted(value)
        case Global(module, name):
            return f"c{module}\n{name}\n".encode()
        case Call(function, arguments):
            return _instructions(function) + _instructions(arguments) + b"R"
        case Instance(cls, state):
            return _instructions(cls) + b")\x81" + _instructions(state) + b"b"
        case Persistent(key):
            return _instructions(key) + b"Q"
        case tuple():
            return b"(" + b"".join(map(_instructions, value)) + b"t"
        case dict():
            items = (_instructions(part) for item in value.items() for part in item)
            return b"}(" + b"".join(items) + b"u"
    raise TypeError(f"no instructions for a {type(value).__name__}")


def _counted(content: bytes) -> bytes:
    return len(content).to_bytes(4, "little") + content
