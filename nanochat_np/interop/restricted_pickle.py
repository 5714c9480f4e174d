"""Reading a pickle without running it.

A pickle is a program for a machine with a stack, and Python's own reader calls whatever function that program names.
This reader interprets the program itself: it knows the instructions that make numbers, texts and plain containers, and
calls nothing but what its user has put on a list.
"""

import pickletools
import struct
from collections.abc import Callable, Mapping
from typing import Any

from nanochat_np.errors import CheckpointError

# Instructions by pickletools' names, of protocol 2 and later: nothing that is to be read uses older ones.
_VALUES = {
    *("BININT", "BININT1", "BININT2", "LONG1", "BINFLOAT"),
    *("SHORT_BINUNICODE", "BINUNICODE", "BINUNICODE8", "SHORT_BINBYTES", "BINBYTES", "BINBYTES8"),
}
_CONSTANTS = {"NONE": None, "NEWTRUE": True, "NEWFALSE": False, "EMPTY_TUPLE": ()}


class RestrictedPickle:
    """Reads None, bool, int, float, str, bytes, tuple, list, dict with keys of str, bytes or int, and ``constructors``.

    ``constructors`` has by (module, name) what stands for a class or function that a pickle names: it is called where
    the pickle calls that, with any plain values, and where it is a class its ``__setstate__`` is given the state of an
    object.  It may also be a plain value, for a name that is only mentioned.  ``persistent`` makes what a pickle keeps
    outside of itself, from the key that it gives.
    """

    def __init__(
        self, constructors: Mapping[tuple[str, str], Any], persistent: Callable[[Any], Any] | None = None
    ) -> None:
        self._constructors = constructors
        self._persistent = persistent

    def load(self, content: bytes, source: str) -> Any:
        """What the pickle makes.

        Raises CheckpointError that begins with ``source``: for a pickle that asks for anything else, naming it, and for
        one that is damaged.
        """
        machine = _Machine(self._constructors, self._persistent)
        try:
            for instruction, argument, _ in pickletools.genops(content):
                machine.step(instruction.name, argument)
            return machine.stack.pop()
        except _Refused as refusal:
            raise CheckpointError(f"{source}: refused, the pickle {refusal}; nothing of it was run") from None
        except (ValueError, TypeError, LookupError, OverflowError, struct.error) as error:
            raise CheckpointError(f"{source}: damaged pickle ({error})") from error


class _Refused(Exception):
    """What a pickle asks for and does not get."""


class _Machine:
    """Stack and memo, and the instructions that change them."""

    def __init__(self, constructors: Mapping[tuple[str, str], Any], persistent: Callable[[Any], Any] | None) -> None:
        self.stack: list[Any] = []
        self._marks: list[int] = []
        self._memo: dict[int, Any] = {}
        self._constructors = constructors
        self._listed = {id(value) for value in constructors.values()}
        self._persistent = persistent

    def step(self, name: str, argument: Any) -> None:
        match name:
            case _ if name in _VALUES:
                self.stack.append(argument)
            case "MEMOIZE":
                self._memo[len(self._memo)] = self.stack[-1]
            case "BINPUT" | "LONG_BINPUT":
                self._memo[argument] = self.stack[-1]
            case "BINGET" | "LONG_BINGET":
                self.stack.append(self._memo[argument])
            case _ if name in _CONSTANTS:
                self.stack.append(_CONSTANTS[name])
            case "EMPTY_DICT":
                self.stack.append({})
            case "EMPTY_LIST":
                self.stack.append([])
            case "MARK":
                self._marks.append(len(self.stack))
            case "TUPLE":
                self.stack.append(tuple(self._since_mark()))
            case "TUPLE1" | "TUPLE2" | "TUPLE3":
                self.stack.append(tuple(self._last(int(name[-1]))))
            case "APPEND":
                self._append(self._last(1))
            case "APPENDS":
                self._append(self._since_mark())
            case "SETITEM":
                self._set_items(self._last(2))
            case "SETITEMS":
                self._set_items(self._since_mark())
            case "GLOBAL":
                self._find(*argument.split(" ", 1))
            case "STACK_GLOBAL":
                self._find(*self._last(2))
            case "REDUCE" | "NEWOBJ":
                self._call(*self._last(2))
            case "BUILD":
                self._restore(self.stack.pop())
            case "BINPERSID" if self._persistent:
                self.stack.append(self._persistent(self.stack.pop()))
            case "PROTO" | "FRAME" | "STOP":
                pass
            case _:
                raise _Refused(f"uses the instruction {name}, which nothing that may be in it needs")

    def _last(self, count: int) -> list[Any]:
        return [self.stack.pop() for _ in range(count)][::-1]

    def _since_mark(self) -> list[Any]:
        start = self._marks.pop()
        items = self.stack[start:]
        del self.stack[start:]
        return items

    def _append(self, items: list[Any]) -> None:
        if type(self.stack[-1]) is not list:
            raise TypeError("items for what is no list")
        self.stack[-1].extend(items)

    def _set_items(self, items: list[Any]) -> None:
        if type(self.stack[-1]) is not dict:
            raise TypeError("items for what is no dict")
        keys, values = items[::2], items[1::2]
        # To hash a tuple in a tuple in a tuple ... takes a C stack frame for each.
        if not all(type(key) in (str, bytes, int) for key in keys):
            raise _Refused("has a dict with keys other than str, bytes and int")
        self.stack[-1].update(zip(keys, values, strict=True))

    def _find(self, module: Any, name: Any) -> None:
        if (module, name) not in self._constructors:
            raise _Refused(f"asks for {module}.{name}")
        self.stack.append(self._constructors[module, name])

    def _call(self, function: Any, arguments: Any) -> None:
        if id(function) not in self._listed or type(arguments) is not tuple:
            raise _Refused("calls what is no function")
        self.stack.append(function(*arguments))

    def _restore(self, state: Any) -> None:
        target = self.stack[-1]
        if id(type(target)) in self._listed and hasattr(target, "__setstate__"):
            target.__setstate__(state)
        elif type(target) is not dict:  # a state_dict of torch is a dict with an attribute, which is left out
            raise _Refused(f"sets attributes of a {type(target).__name__}")
