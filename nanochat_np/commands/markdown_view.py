"""An answer on a terminal as Markdown: what is complete stays, and only the last block is drawn again as it grows."""

import time
from collections.abc import Iterable

from rich.console import Console, ConsoleOptions, RenderResult
from rich.live import Live
from rich.markdown import Markdown
from rich.segment import Segment
from rich.text import Text

from nanochat_np.command_line.console import SECONDS_BETWEEN_FRAMES
from nanochat_np.commands.answer_view import harmless
from nanochat_np.infer.answer import Span

_FENCES = ("```", "~~~")


class MarkdownView:
    """A call of the tool stands on a line of its own, dim: ``[12*34 = 408]``."""

    def __init__(self, console: Console | None = None) -> None:
        self._console = console or Console(highlight=False)
        self._live = Live(
            console=self._console, auto_refresh=False, transient=True, redirect_stdout=False, redirect_stderr=False
        )
        self._text = self._call = ""
        self._blocks, self._due = 0, 0.0
        self._live.start()

    def show(self, spans: Iterable[Span]) -> None:
        """See `answer_view.View`."""
        for span in spans:
            if span.kind == "text":
                self._print_call()
                self._text += harmless(span.text)
            elif span.kind == "python":
                self._print_call()
                self._call = harmless(span.text)
            else:
                self._call = " = ".join(filter(None, (self._call, harmless(span.text))))
        self._print_text(complete_blocks(self._text))
        if time.monotonic() >= self._due:
            self._live.update(_Tail(self._text), refresh=True)
            self._due = time.monotonic() + SECONDS_BETWEEN_FRAMES

    def end(self) -> None:
        """See `answer_view.View`."""
        self._print_text(len(self._text))
        self._print_call()
        self._live.stop()
        self._console.print()

    def _print_call(self) -> None:
        if self._call:
            call, self._call = self._call, ""
            self._print_text(len(self._text))
            self._print(Text(f"[{call}]", style="dim"))

    def _print_text(self, size: int) -> None:
        """Let the first characters of the text stay as they are."""
        done, self._text = self._text[:size], self._text[size:]
        if done.strip():
            self._print(Markdown(done))

    def _print(self, block: Markdown | Text) -> None:
        self._live.update(_Tail(self._text))
        if self._blocks:
            self._console.print()
        self._blocks += 1
        self._console.print(block)


class _Tail:
    """The end of a text as Markdown, as much as the terminal has lines for."""

    def __init__(self, text: str) -> None:
        self._text = text

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        lines = console.render_lines(Markdown(self._text), options, pad=False)
        for line in lines[-max(1, console.height - 2) :]:
            yield from line
            yield Segment.line()


def complete_blocks(text: str) -> int:
    """How many of the first characters are Markdown blocks that what follows cannot change any more.

    A block ends at an empty line, or at the end of its fence; what is indented after that still belongs to it.
    """
    complete = position = 0
    fence, was_empty = "", False
    for line in text.splitlines(keepends=True):
        begins = line.lstrip()[:3]
        if fence:
            if begins == fence:
                fence, was_empty = "", True
        else:
            if was_empty and not line[0].isspace():
                complete = position
            was_empty = not line.strip()
            if begins in _FENCES:
                fence = begins
        position += len(line)
    return complete
