"""What can go wrong, by who has to act, and the exit code of each.

Every error is one line that names the thing (flag, path, line, value) and says what to do.
"""

import os


class NanochatError(Exception):
    """Base of all errors meant for the user; ``exit_code`` is what the process returns."""

    exit_code = 3


class ConfigError(NanochatError):
    """A flag, a value or a combination of them is wrong; nothing was begun."""

    exit_code = 1


class InvalidTemperature(ConfigError):
    """A sampling temperature that is not a finite number above 0."""


class PromptTooLong(ConfigError):
    """A prompt of more tokens than the model's window can take."""

    def __init__(self, prompt_tokens: int, max_prompt_tokens: int) -> None:
        self.prompt_tokens = prompt_tokens
        self.max_prompt_tokens = max_prompt_tokens
        super().__init__(
            f"--prompt has {prompt_tokens} tokens, this model takes at most {max_prompt_tokens}: "
            f"shorten it, or keep only its end with --truncate-prompt"
        )


class MessageTooLong(ConfigError):
    """A message, together with the system's, of more tokens than the model's context has room for."""

    def __init__(self, tokens: int, room: int) -> None:
        self.tokens = tokens
        self.room = room
        super().__init__(
            f"the message, with the system's, takes {tokens} tokens and there is room for {room}: shorten it"
        )


class DataError(NanochatError):
    """A corpus, a file or a text cannot be used."""

    exit_code = 2


class RunError(NanochatError):
    """Training, inference or a benchmark failed while computing."""

    exit_code = 3


class MemoryDrift(RunError):
    """Memory grew past its allowance over a fixed baseline."""


class CheckpointError(NanochatError):
    """A checkpoint is missing, damaged, of another kind, or could not be written."""

    exit_code = 4


class Interrupted(NanochatError):
    """Work that was stopped from outside after it had saved what it had."""

    exit_code = 130

    def __init__(self, step: int, path: str | os.PathLike[str]) -> None:
        self.step = step
        self.path = path
        super().__init__(f"interrupted after step {step}; saved in {os.fspath(path)}: go on from there with --resume")
