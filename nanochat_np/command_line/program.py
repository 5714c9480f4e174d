"""From the arguments of the process to its exit code."""

import contextlib
import os
import sys
import traceback
from collections.abc import Sequence
from pathlib import PurePath
from typing import Any

import msgspec

from nanochat_np.command_line import guard, help
from nanochat_np.command_line.command import Command, Summary
from nanochat_np.command_line.config_file import with_file
from nanochat_np.command_line.dispatch import Call, bind
from nanochat_np.command_line.failure import Failure
from nanochat_np.command_line.interruption import Interruption, remembered
from nanochat_np.errors import NanochatError

BROKEN_PIPE = 128 + 13  # what a shell reports of a program that SIGPIPE ended


def main(commands: Sequence[Command], arguments: Sequence[str]) -> int:
    """Run the command that the arguments name and return the exit code; the only place that handles errors."""
    with remembered() as interruption:
        return _main(commands, list(arguments), interruption)


def _main(commands: Sequence[Command], arguments: list[str], interruption: Interruption) -> int:
    command: Command | None = None
    call: Call | None = None
    try:
        text = help.requested(commands, arguments)
        if text is None:
            command = guard.find_command(commands, arguments[0])
            texts = with_file(command.record, guard.read_flags(command, arguments[1:]))
            call = bind(commands, command.name, texts)
            text = _run(call)
        if text is not None:
            print(text)
        sys.stdout.flush()
        return 0
    except BrokenPipeError:
        _discard_output()
        return BROKEN_PIPE
    except (Exception, KeyboardInterrupt) as error:
        # Flags that do not pass have no record; what they ask of the report is looked up in the arguments.
        debug = call.config.debug if call else guard.asks_for("debug", arguments)
        as_json = call.config.json if call else guard.asks_for("json", arguments)
        if debug:
            traceback.print_exception(error)
        interrupted = interruption.came and not isinstance(error, NanochatError)
        failure = Failure.of(KeyboardInterrupt() if interrupted else error, call)
        _report(failure, {"command": command and command.name, "error": failure.content} if as_json else None)
        return failure.exit_code


def _run(call: Call) -> str | None:
    """Run the command; returns its summary as JSON where that is asked for, and then nothing else reaches stdout."""
    if not call.config.json:
        call.command.run(call.config, call.given)
        return None
    with open(os.devnull, "w", encoding="utf-8") as nowhere, contextlib.redirect_stdout(nowhere):
        summary = call.command.run(call.config, call.given)
    return _json(summary)


def _json(value: Summary) -> str:
    """One line of JSON; a number that is not finite becomes null."""
    return msgspec.json.encode(value, enc_hook=_encodable).decode()


def _encodable(value: Any) -> Any:
    """What JSON has no word for: paths, and scalars of NumPy."""
    if isinstance(value, PurePath):
        return str(value)
    if hasattr(value, "item"):
        return value.item()
    raise NotImplementedError(f"{type(value).__name__} in a summary")


def _report(failure: Failure, content: dict[str, Any] | None) -> None:
    """One line on stderr, and with ``--json`` the content on stdout."""
    try:
        print(failure.line, file=sys.stderr, flush=True)
        if content is not None:
            print(_json(content))
        sys.stdout.flush()
    except OSError:  # the reader has gone, or the disk is full
        _discard_output()


def _discard_output() -> None:
    """Nobody reads on: what is still buffered goes nowhere, or the interpreter would complain as it shuts down."""
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
