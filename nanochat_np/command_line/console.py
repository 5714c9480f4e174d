"""What a command shows: progress on stderr while it works, and on stdout what it is for."""

import abc
import contextlib
import os
import sys
import time
from collections.abc import Iterator
from typing import Any

SECONDS_BETWEEN_LINES = 5.0
SECONDS_BETWEEN_FRAMES = 0.1


def out(text: str, end: str = "\n") -> None:
    """Print what the command is for.  With ``--json`` the command line shows the summary alone and drops this."""
    print(text, end=end, flush=True)


def tell(text: str = "") -> None:
    """Print a line about the work, on stderr."""
    print(text, file=sys.stderr, flush=True)


@contextlib.contextmanager
def progress(total: int, quiet: bool) -> Iterator["Progress"]:
    """Show steps of ``total`` on stderr: a live bar on a terminal, a line every few seconds elsewhere, or nothing."""
    if quiet:
        yield Progress(total)
    elif sys.stderr.isatty() and os.environ.get("TERM") != "dumb":
        from nanochat_np.command_line.bar import bar  # rich takes a while to import

        with bar(total, SECONDS_BETWEEN_FRAMES) as shown:
            yield shown
    else:
        yield Lines(total, SECONDS_BETWEEN_LINES)


class Progress:
    """Progress that is not shown; the kinds that are derive from it."""

    def __init__(self, total: int) -> None:
        self.total = total

    def update(self, step: int, **fields: Any) -> None:
        """``step`` steps are done.  Fields (``loss=2.31``, ``**{"tok/s": 81000}``) are formatted only if shown now."""

    def note(self, text: str) -> None:
        """A line that stays: an evaluation, a checkpoint."""


class Timed(Progress, abc.ABC):
    """Progress that is shown at most every so many seconds, and at the last step."""

    def __init__(self, total: int, interval: float) -> None:
        super().__init__(total)
        self._interval = interval
        self._first: tuple[int, float] | None = None
        self._due = 0.0

    def update(self, step: int, **fields: Any) -> None:
        now = time.monotonic()
        if self._first is None:
            self._first = step, now
        if now >= self._due or step == self.total:
            self._due = now + self._interval
            text = "  ".join(f"{name} {formatted(value)}" for name, value in fields.items())
            self._show(step, f"{text}  eta {self._eta(step, now)}" if step < self.total else text)

    def _eta(self, step: int, now: float) -> str:
        """Time left at the pace since the first update, which need not be step 0 (a resumed run)."""
        first_step, start = self._first or (step, now)
        if step == first_step:
            return "-:--"
        minutes, seconds = divmod(round((self.total - step) * (now - start) / (step - first_step)), 60)
        hours, minutes = divmod(minutes, 60)
        return f"{hours}:{minutes:02}:{seconds:02}" if hours else f"{minutes}:{seconds:02}"

    @abc.abstractmethod
    def _show(self, step: int, text: str) -> None:
        """Show a step and what goes with it."""


class Lines(Timed):
    """Plain lines for a pipe or a file."""

    def note(self, text: str) -> None:
        tell(text)

    def _show(self, step: int, text: str) -> None:
        self.note(f"step {step}/{self.total}  {text}".rstrip())


def formatted(value: Any) -> str:
    """A number with as many digits as a reader wants: 2.31, 0.0003, 81,204."""
    if isinstance(value, str):
        return value
    if isinstance(value, int) or abs(value) >= 1000:
        return f"{value:,.0f}"
    return f"{value:.4g}"
