"""Exit codes, the one line of an error, and what reaches stdout."""

import errno
import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from nanochat_np.command_line import main
from nanochat_np.errors import CheckpointError, ConfigError, DataError, Interrupted, NanochatError, RunError
from tests.command_line.toy import Summary, Toy

Capture = pytest.CaptureFixture[str]


def _raiser(error: BaseException) -> Any:
    def does(config: Any) -> None:
        raise error

    return does


FAILURES = [
    (ConfigError("--x is wrong"), 1, "error: --x is wrong"),
    (DataError("a.txt: empty"), 2, "error: a.txt: empty"),
    (RunError("loss is nan\nat step 3"), 3, "error: loss is nan at step 3"),
    (CheckpointError("x: damaged"), 4, "error: x: damaged"),
    (
        Interrupted(7, Path("results/r")),
        130,
        "interrupted after step 7; saved in results/r: go on from there with --resume",
    ),
    (KeyboardInterrupt(), 130, "interrupted"),
    (MemoryError("Unable to allocate 8 GiB"), 3, "error: out of memory: Unable to allocate 8 GiB: lower --n-layer"),
    (MemoryError(), 3, "error: out of memory: lower --n-layer"),
    (OSError(errno.ENOSPC, "No space left on device", "a/b.bin"), 3, "error: disk full: a/b.bin: free some space"),
    (OSError(errno.ENOSPC, "No space left on device"), 3, "error: disk full: results: free some space"),
    (
        TypeError("bad\noperand"),
        3,
        "error: internal: TypeError: bad operand (run again with --debug for the traceback, and please report it)",
    ),
    (ZeroDivisionError(), 3, "error: internal: ZeroDivisionError (run again"),
]


@pytest.mark.parametrize(("error", "code", "line"), FAILURES, ids=lambda value: type(value).__name__)
def test_an_error_is_one_line_and_an_exit_code(capsys: Capture, error: BaseException, code: int, line: str) -> None:
    toy = Toy()
    toy.does = _raiser(error)
    assert main(toy.commands, ["toy"]) == code
    captured = capsys.readouterr()
    assert captured.err.startswith(line)
    assert captured.err.count("\n") == 1
    assert captured.out == ""


@pytest.mark.parametrize(("error", "code", "line"), FAILURES, ids=lambda value: type(value).__name__)
def test_with_json_an_error_is_one_object(capsys: Capture, error: BaseException, code: int, line: str) -> None:
    toy = Toy()
    toy.does = _raiser(error)
    assert main(toy.commands, ["toy", "--json"]) == code
    captured = capsys.readouterr()
    content = json.loads(captured.out)
    kind = "Interrupted" if isinstance(error, KeyboardInterrupt) else type(error).__name__
    assert content["command"] == "toy"
    assert content["error"] == {"type": kind, "message": content["error"]["message"], "exit_code": code}
    assert captured.err.rstrip("\n").removeprefix("error: ") == content["error"]["message"]


@pytest.mark.parametrize("arguments", [["--json", "--dpeth=3"], ["--dpeth=3", "--json=true"], ["--steps=x", "--json"]])
def test_with_json_a_wrong_flag_is_one_object_too(capsys: Capture, arguments: list[str]) -> None:
    assert main(Toy().commands, ["toy", *arguments]) == 1
    captured = capsys.readouterr()
    content = json.loads(captured.out)
    assert (content["command"], content["error"]["type"]) == ("toy", "ConfigError")
    assert captured.err.count("\n") == 1


def test_with_json_an_unknown_command_is_one_object_too(capsys: Capture) -> None:
    assert main(Toy().commands, ["tyo", "--json"]) == 1
    assert json.loads(capsys.readouterr().out)["command"] is None


def test_debug_shows_the_traceback_above_the_line(capsys: Capture) -> None:
    toy = Toy()
    toy.does = _raiser(TypeError("bad"))
    assert main(toy.commands, ["toy", "--debug"]) == 3
    first, *_, last = capsys.readouterr().err.splitlines()
    assert first.startswith("Traceback")
    assert last.startswith("error: internal: TypeError: bad")


def test_with_json_stdout_is_the_summary_and_nothing_else(capsys: Capture) -> None:
    toy = Toy()

    def does(config: Any) -> Summary:
        print("chatter")
        return Summary("toy", math.nan)

    toy.does = does
    assert main(toy.commands, ["toy", "--json"]) == 0
    assert capsys.readouterr().out == '{"command":"toy","loss":null}\n'


def test_a_summary_may_hold_paths_and_scalars_of_numpy(capsys: Capture) -> None:
    toy = Toy()
    toy.does = lambda config: {"out": Path("a/b"), "loss": np.float32(0.5), "bad": np.float64("inf"), "n": np.int64(3)}
    assert main(toy.commands, ["toy", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {"out": "a/b", "loss": 0.5, "bad": None, "n": 3}


def test_a_summary_that_json_cannot_hold_is_an_error_and_still_one_object(capsys: Capture) -> None:
    toy = Toy()
    toy.does = lambda config: {"x": object()}
    assert main(toy.commands, ["toy", "--json"]) == 3
    assert "object in a summary" in json.loads(capsys.readouterr().out)["error"]["message"]


def test_without_json_the_summary_is_not_printed(capsys: Capture) -> None:
    toy = Toy()
    toy.does = lambda config: print("the text") or {"command": "toy"}
    assert main(toy.commands, ["toy"]) == 0
    assert capsys.readouterr().out == "the text\n"


def test_every_error_class_has_its_exit_code() -> None:
    codes = {kind.__name__: kind.exit_code for kind in NanochatError.__subclasses__()}
    assert codes == {"ConfigError": 1, "DataError": 2, "RunError": 3, "CheckpointError": 4, "Interrupted": 130}
