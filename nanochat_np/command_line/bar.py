"""The live progress bar of a terminal."""

import contextlib
from collections.abc import Iterator

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn
from rich.progress import Progress as RichProgress
from rich.table import Column

from nanochat_np.command_line.console import Timed


class Bar(Timed):
    """A bar that is drawn by its updates alone: a thread of its own would take time from the computation."""

    def __init__(self, total: int, interval: float, rich: RichProgress) -> None:
        super().__init__(total, interval)
        self._rich = rich
        self._task = rich.add_task("", total=total, text="")

    def note(self, text: str) -> None:
        self._rich.console.print(text, markup=False, highlight=False, soft_wrap=True)

    def _show(self, step: int, text: str) -> None:
        room = self._rich.console.width - len(f" {self.total}/{self.total} ")
        self._rich.update(self._task, completed=step, total=self.total, text=_shortened(text, room), refresh=True)


def _shortened(text: str, room: int) -> str:
    """Fields from the middle are left out until the rest fits: the first (loss) and the last (eta) say the most."""
    fields = text.split("  ")
    while len("  ".join(fields)) > room and len(fields) > 1:
        del fields[len(fields) // 2]
    return "  ".join(fields)


@contextlib.contextmanager
def bar(total: int, interval: float) -> Iterator[Bar]:
    """A bar on stderr that notes push upwards; its last state stays.  In a narrow terminal the bar itself gives way."""
    rich = RichProgress(
        BarColumn(bar_width=20),
        MofNCompleteColumn(table_column=Column(no_wrap=True)),
        TextColumn("{task.fields[text]}", markup=False),  # does not wrap either
        console=Console(stderr=True),
        auto_refresh=False,
        redirect_stdout=False,  # else rich sends stdout to stderr
    )
    with rich:
        yield Bar(total, interval, rich)
