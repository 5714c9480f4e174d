"""Ctrl-C is told as such, whatever becomes of it on its way."""

import signal
import sys

import pytest

from nanochat_np.command_line import main
from nanochat_np.command_line.command import Command
from nanochat_np.command_line.interruption import remembered
from tests.command_line.toy import ToyConfig


def swallowing(config, given):
    """As compiled code does that meets an interrupt."""
    try:
        signal.raise_signal(signal.SIGINT)
    except KeyboardInterrupt:
        raise SystemError("returned a result with an exception set") from None


def test_an_interrupt_that_became_another_error(capsys):
    before = signal.getsignal(signal.SIGINT)
    assert main([Command("toy", ToyConfig, swallowing)], ["toy"]) == 130
    captured = capsys.readouterr()
    assert (captured.out, captured.err) == ("", "interrupted\n")
    assert signal.getsignal(signal.SIGINT) is before


def test_an_error_without_an_interrupt_is_still_one(capsys):
    def failing(config, given):
        raise SystemError("something else")

    assert main([Command("toy", ToyConfig, failing)], ["toy"]) == 3
    assert "internal: SystemError: something else" in capsys.readouterr().err


def test_an_interrupt_that_nobody_could_raise_is_not_printed(monkeypatch):
    shown = []
    monkeypatch.setattr(sys, "unraisablehook", shown.append)

    class Problem:
        exc_type = KeyboardInterrupt

    with remembered():
        sys.unraisablehook(Problem)
        Problem.exc_type = ValueError
        sys.unraisablehook(Problem)
    assert [problem.exc_type for problem in shown] == [ValueError]


def test_an_ignored_signal_stays_ignored():
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        with remembered() as interruption:
            signal.raise_signal(signal.SIGINT)
        assert not interruption.came
    finally:
        signal.signal(signal.SIGINT, before)


def test_it_is_remembered():
    with pytest.raises(KeyboardInterrupt), remembered() as interruption:
        signal.raise_signal(signal.SIGINT)
    assert interruption.came
