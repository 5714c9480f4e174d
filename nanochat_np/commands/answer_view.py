"""An answer on stdout as it comes."""

import os
import sys
from collections.abc import Iterable
from typing import Protocol

from nanochat_np.command_line.console import out
from nanochat_np.infer.answer import Span

_DIM, _PLAIN = "\x1b[2m", "\x1b[0m"
# What would move the cursor or change colours becomes a picture of itself.
_PICTURES = {code: 0x2400 + code for code in range(32) if chr(code) not in "\n\t"}
_PICTURES |= dict.fromkeys(range(0x7F, 0xA0), 0xFFFD)


def on_terminal() -> bool:
    """Whether a person reads stdout, on a terminal that can do more than print."""
    return sys.stdout.isatty() and os.environ.get("TERM") != "dumb"


def harmless(text: str) -> str:
    """A text that does nothing to a terminal but stand there."""
    return text.translate(_PICTURES)


class View(Protocol):
    """Where an answer is shown."""

    def show(self, spans: Iterable[Span]) -> None:
        """Show more of it."""

    def end(self) -> None:
        """It is all there."""


class PlainView:
    """Text as it is, and a call of the tool with its result as ``[12*34 = 408]``, dim on a terminal."""

    def __init__(self) -> None:
        self._terminal = on_terminal()
        self._dim, self._plain = (_DIM, _PLAIN) if self._terminal and "NO_COLOR" not in os.environ else ("", "")
        self._open = self._told = False  # a call of the tool; its result, after which nothing came yet

    def show(self, spans: Iterable[Span]) -> None:
        """See `View`."""
        text = "".join(map(self._spelled, spans))
        if text:
            out(text, end="")

    def end(self) -> None:
        """See `View`."""
        out(self._closed())

    def _spelled(self, span: Span) -> str:
        text = harmless(span.text) if self._terminal else span.text
        if span.kind == "python":
            before, self._open = self._closed(), True
            return f"{before}{self._dim}[{text}"
        if span.kind == "python_output":
            before, self._open = " = " if self._open else f"{self._dim}[", True
            self._told = True
            return f"{before}{text}{self._closed()}"
        apart, self._told = " " if self._told and text[:1].isalnum() else "", False
        return self._closed() + apart + text

    def _closed(self) -> str:
        was_open, self._open = self._open, False
        return f"]{self._plain}" if was_open else ""
