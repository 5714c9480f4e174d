"""Progress: a bar on a terminal, lines in a pipe, nothing when quiet."""

import io
import subprocess
import sys

import pytest

from nanochat_np.command_line import console
from nanochat_np.command_line.console import formatted, progress

Capture = pytest.CaptureFixture[str]


class Clock:
    """A clock that the test moves."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 100.0
        monkeypatch.setattr(console.time, "monotonic", lambda: self.now)


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    return Clock(monkeypatch)


def test_a_pipe_gets_a_line_every_few_seconds_all_notes_and_the_last_step(capsys: Capture, clock: Clock) -> None:
    with progress(total=100, quiet=False) as shown:
        for step in range(1, 101):
            clock.now += 0.2
            shown.update(step, loss=2.0 - step / 100, **{"tok/s": 81234.5})
            if step == 30:
                shown.note("step 30: validation 1.5 bits per byte")
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.splitlines() == [
        "step 1/100  loss 1.99  tok/s 81,234  eta -:--",
        "step 26/100  loss 1.74  tok/s 81,234  eta 0:15",
        "step 30: validation 1.5 bits per byte",
        "step 51/100  loss 1.49  tok/s 81,234  eta 0:10",
        "step 76/100  loss 1.24  tok/s 81,234  eta 0:05",
        "step 100/100  loss 1  tok/s 81,234",
    ]


def test_the_eta_of_a_resumed_run_counts_from_its_first_step(capsys: Capture, clock: Clock) -> None:
    with progress(total=10_000, quiet=False) as shown:
        shown.update(5000)
        clock.now += 10
        shown.update(5010)
    assert capsys.readouterr().err.splitlines()[-1] == "step 5010/10000    eta 1:23:10"


def test_quiet_shows_nothing(capsys: Capture) -> None:
    with progress(total=2, quiet=True) as shown:
        shown.update(1, loss=1.0)
        shown.note("a note")
        shown.update(2, loss=1.0)
    assert capsys.readouterr() == ("", "")


def test_a_terminal_gets_a_bar_with_notes_above(monkeypatch: pytest.MonkeyPatch, clock: Clock, capsys: Capture) -> None:
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "100")
    with progress(total=50, quiet=False) as shown:
        for step in range(1, 51):
            clock.now += 1
            shown.update(step, loss=1 / step)
            if step == 20:
                shown.note("checkpoint [red] saved")
        print("on stdout")
    text = terminal.getvalue()
    assert capsys.readouterr().out == "on stdout\n"
    assert "25/50" in text
    assert "loss 0.04  eta 0:25" in text
    assert "checkpoint [red] saved\n" in text
    assert text.index("20/50") < text.index("checkpoint [red]") < text.index("21/50")
    assert "50/50" in text.splitlines()[-1] + text.splitlines()[-2]
    assert "\x1b[" in text


@pytest.mark.parametrize(
    ("columns", "line"),
    [
        (
            120,
            f"K{'━' * 10}            50000/100000 loss 2.315  lr 0.0003123  norm 0.5213  tok/s 1,234,567  eta 27:45\n",
        ),
        (80, "K  50000/100000 loss 2.315  lr 0.0003123  norm 0.5213  tok/s 1,234,567  eta 27:45\n"),
        (79, "K━━━━━━        50000/100000 loss 2.315  lr 0.0003123  tok/s 1,234,567  eta 27:45\n"),
        (40, "K━━    50000/100000 loss 2.315  eta 27:45\n"),
    ],
)
def test_a_narrow_terminal_keeps_the_count_the_loss_and_the_eta(
    monkeypatch: pytest.MonkeyPatch, clock: Clock, columns: int, line: str
) -> None:
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", str(columns))
    monkeypatch.setenv("NO_COLOR", "1")
    with progress(total=100_000, quiet=False) as shown:
        for step in (0, 50_000):
            clock.now += 27 * 60 + 45
            shown.update(step, loss=2.315, lr=0.0003123, norm=0.5213, **{"tok/s": 1_234_567})
    assert line in terminal.getvalue()


def test_no_color_is_respected(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setenv("NO_COLOR", "1")
    with progress(total=2, quiet=False) as shown:
        shown.update(2, loss=1.0)
    assert "2/2" in terminal.getvalue()
    assert "\x1b[3" not in terminal.getvalue()  # 30 to 38 set a colour


def test_a_dumb_terminal_gets_plain_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    monkeypatch.setenv("TERM", "dumb")
    with progress(total=2, quiet=False) as shown:
        shown.update(2, loss=1.0)
    assert terminal.getvalue() == "step 2/2  loss 1\n"


def test_out_goes_to_stdout(capsys: Capture) -> None:
    console.out("a", end="")
    console.out("b")
    assert capsys.readouterr() == ("ab\n", "")


def test_a_pipe_does_not_import_rich() -> None:
    code = (
        "import sys; from nanochat_np.command_line.console import progress\nwith progress(1, False) as p: p.update(1)\n"
    )
    check = "sys.exit('rich' in sys.modules)"
    subprocess.run([sys.executable, "-c", code + check], check=True, stderr=subprocess.PIPE)


@pytest.mark.parametrize(
    ("value", "text"),
    [(2.31456, "2.315"), (0.0003, "0.0003"), (81234.5, "81,234"), (12, "12"), (1_000_000, "1,000,000"), ("x", "x")],
)
def test_numbers_are_short(value: object, text: str) -> None:
    assert formatted(value) == text


def test_what_is_not_finite_can_be_shown() -> None:
    assert [formatted(float(text)) for text in ("nan", "inf", "-inf")] == ["nan", "inf", "-inf"]
