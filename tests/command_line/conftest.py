"""The toy command line, and a way to call it."""

from collections.abc import Callable
from typing import Any

import pytest

from nanochat_np.command_line import main
from tests.command_line.toy import Toy


@pytest.fixture
def toy() -> Toy:
    return Toy()


@pytest.fixture
def config_of(toy: Toy) -> Callable[..., Any]:
    """The config that ``toy ARGUMENTS`` runs with."""

    def call(*arguments: str) -> Any:
        assert main(toy.commands, ["toy", *arguments]) == 0
        return toy.calls[-1][0]

    return call


@pytest.fixture
def error_of(toy: Toy, capsys: pytest.CaptureFixture[str]) -> Callable[..., str]:
    """The one line on stderr with which ``ARGUMENTS`` are refused: exit code 1, no output, and nothing ran."""

    def call(*arguments: str) -> str:
        assert main(toy.commands, arguments) == 1
        assert toy.calls == []
        captured = capsys.readouterr()
        assert captured.out == ""
        assert captured.err.startswith("error: ")
        assert captured.err.count("\n") == 1
        assert "Traceback" not in captured.err
        return captured.err.removeprefix("error: ").rstrip("\n")

    return call
