"""A conversation and the person who has it: answers shown as they come, and stopped by Ctrl-C."""

from collections.abc import Iterator
from types import FrameType

from nanochat_np.command_line.console import tell
from nanochat_np.commands.answer_view import PlainView, View, on_terminal
from nanochat_np.infer.answer import Span
from nanochat_np.infer.session import Session


class Talk:
    """``over`` is set when the person has said so."""

    def __init__(self, session: Session, quiet: bool) -> None:
        self.session = session
        self.over = False
        self._quiet = quiet
        self._answering = self._stopped = False

    def show(self, pieces: Iterator[list[Span]]) -> None:
        """An answer, to its end."""
        if self.session.left_out:
            self.tell(f"(longer than the context: the {self.session.left_out} oldest messages are left out)")
        view = _view()
        self._answering, self._stopped = True, False
        try:
            for spans in pieces:
                view.show(spans)
        finally:
            self._answering = False
            view.end()

    def tell(self, text: str) -> None:
        """Something about the conversation that is no part of it."""
        if not self._quiet:
            tell(text)

    def interrupt(self, number: int, frame: FrameType | None) -> None:
        """Handle Ctrl-C: it stops the answer, and where there is none or it has been stopped already, the program."""
        if not self._answering or self._stopped:
            raise KeyboardInterrupt
        self._stopped = True
        self.session.cancel()


def _view() -> View:
    if not on_terminal():
        return PlainView()
    from nanochat_np.commands.markdown_view import MarkdownView  # rich takes a while to import

    return MarkdownView()
