"""Help is made from the records and leaves nothing out."""

import re

import pytest

from nanochat_np.cli import COMMANDS
from nanochat_np.command_line import Command, main
from nanochat_np.command_line.command import flags_of
from nanochat_np.command_line.guard import read_flags
from tests.command_line.toy import Toy

PROGRAM_HELP = [[], ["--help"], ["-h"], ["help"], ["--json", "--help"], ["help", "--help"]]
COMMAND_HELP = [
    ["toy", "--help"],
    ["toy", "-h"],
    ["help", "toy"],
    ["toy", "--dpeth", "x", "--help"],
    ["toy", "--", "-h"],
]


def _help(capsys: pytest.CaptureFixture[str], arguments: list[str]) -> str:
    toy = Toy()
    assert main(toy.commands, arguments) == 0
    assert toy.calls == []
    captured = capsys.readouterr()
    assert captured.err == ""
    return captured.out


@pytest.mark.parametrize("arguments", PROGRAM_HELP)
def test_help_of_the_program_lists_the_commands(capsys: pytest.CaptureFixture[str], arguments: list[str]) -> None:
    text = _help(capsys, arguments)
    assert re.search(r"^  toy +Play with flags\.$", text, re.MULTILINE)
    assert re.search(r"^  other +Do something else\.$", text, re.MULTILINE)


@pytest.mark.parametrize("arguments", COMMAND_HELP)
def test_help_of_a_command(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, arguments: list[str]
) -> None:
    monkeypatch.setenv("COLUMNS", "100")
    text = _help(capsys, arguments)
    for line in (
        "usage: python -m nanochat_np toy [WHAT] [--flag value ...]",
        "  --steps N                     how long [at least 0, default 10]",
        "  --ratio X                     how much [above 0 and at most 1, default 0.5]",
        "  --temperature X               left to the command [default 1.0]",
        "  --mode fast|slow              how fast [default fast]",
        "  --seeds N,N,...               seeds [default 1,2]",
        "  --prompt TEXT                 text [default empty]",
        "  --out TEXT                    folder",
        "  --[no-]rounded                with corners cut [default on]",
        "  --n-layer N                   layers (default 2) [at least 1]",
        "  --quiet                       no progress on stderr, only errors [default off]",
        "  python -m nanochat_np toy --steps 3",
    ):
        assert line in text.splitlines()
    headings = [line for line in text.splitlines() if line.endswith(":") and not line.startswith(" ")]
    assert headings == ["Flags of toy:", "Scale:", "Shape:", "Flags that every command takes:", "Examples:"]


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: command.name)
@pytest.mark.parametrize("width", [50, 200])
def test_every_flag_has_a_help_that_fits(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, command: Command, width: int
) -> None:
    monkeypatch.setenv("COLUMNS", str(width))
    assert main(COMMANDS, [command.name, "--help"]) == 0
    text = capsys.readouterr().out
    for flag in flags_of(command.record).values():
        assert flag.description, flag.name
        assert re.search(rf"^  --(\[no-\])?{flag.option[2:]}( |$)", text, re.MULTILINE), flag.name
    flags = text.partition("\nExamples:")[0].splitlines()[1:]
    assert all(len(line) <= width for line in flags if line.startswith("   ") or not line.startswith(" "))


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: command.name)
def test_the_examples_pass_the_guard(command: Command) -> None:
    import shlex

    from nanochat_np.command_line.convert import to_record

    examples = re.findall(r"python -m nanochat_np (.+)", command.record.__doc__ or "")
    assert len(examples) >= 2
    for example in examples:
        name, *arguments = shlex.split(example)
        assert name == command.name
        to_record(command.record, read_flags(command, arguments))


def test_help_on_what_does_not_exist_is_an_error(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(Toy().commands, ["help", "tyo"]) == 1
    assert main(Toy().commands, ["tyo", "--help"]) == 1
    assert main(Toy().commands, ["help", "toy", "other"]) == 1
    assert "did you mean toy?" in capsys.readouterr().err


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert re.fullmatch(r"nanochat-np \d+\.\d+\.\d+\S*\n", _help(capsys, ["--version"]))
