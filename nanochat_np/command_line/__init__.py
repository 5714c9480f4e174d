"""The command line, built from the records of ``config``: Python Fire binds, a guard in front checks everything first.

Fire alone runs a command with its defaults before it complains of a misspelt flag, and guesses types from values.
Here the flow is ``guard`` (names and values of flags, as text) -> ``dispatch`` (Fire's command table) -> ``convert``
(types and ranges) -> the command.  Nothing of the package that is heavy is imported before all of that has passed.
"""

from nanochat_np.command_line.command import Command
from nanochat_np.command_line.program import main

__all__ = ["Command", "main"]
