"""What the user is told of an error: one line, an exit code, and what to do."""

import errno
import os
from dataclasses import dataclass

from nanochat_np.command_line.dispatch import Call
from nanochat_np.errors import Interrupted, NanochatError, RunError

# Flags that decide how much memory a command takes, the most telling first.
MEMORY_FLAGS = ("batch_size", "block_size", "n_embd", "n_layer", "val_tokens", "num_samples", "jobs")
DISK_FULL = {errno.ENOSPC: "disk full", errno.EDQUOT: "disk quota exceeded"}


@dataclass(frozen=True)
class Failure:
    """An error as the user meets it: ``line`` for stderr, ``content`` for ``--json``."""

    type: str
    message: str
    exit_code: int
    prefix: str = "error: "

    @property
    def line(self) -> str:
        return self.prefix + self.message

    @property
    def content(self) -> dict[str, str | int]:
        return {"type": self.type, "message": self.message, "exit_code": self.exit_code}

    @classmethod
    def of(cls, error: BaseException, call: Call | None) -> "Failure":
        name = type(error).__name__
        match error:
            case KeyboardInterrupt():
                return cls("Interrupted", "interrupted", Interrupted.exit_code, prefix="")
            case Interrupted():
                return cls(name, _one_line(error), error.exit_code, prefix="")
            case NanochatError():
                return cls(name, _one_line(error), error.exit_code)
            case MemoryError():
                return cls(name, f"out of memory{_detail(error)}{_what_to_lower(call)}", RunError.exit_code)
            case OSError(errno=int(number)) if number in DISK_FULL:
                advice = "free some space, or choose another disk with --out"
                return cls(name, f"{DISK_FULL[number]}: {_file(error, call)}: {advice}", RunError.exit_code)
        internal = f"internal: {name}{_detail(error)} (run again with --debug for the traceback, and please report it)"
        return cls(name, internal, RunError.exit_code)


def _one_line(error: BaseException) -> str:
    return " ".join(str(error).split())


def _detail(error: BaseException) -> str:
    return f": {_one_line(error)}" if str(error).strip() else ""


def _what_to_lower(call: Call | None) -> str:
    known = call.config.__struct_fields__ if call else ()
    flags = [f"--{name.replace('_', '-')}" for name in MEMORY_FLAGS if name in known]
    return f": lower {', '.join(flags)}" if flags else ""


def _file(error: OSError, call: Call | None) -> str:
    """The file of the error.  An error in ``write`` does not name it: then the folder of the run, or stdout."""
    folder = getattr(call.config, "out", "standard output") if call else "standard output"
    return os.fsdecode(error.filename or folder or "results")
