"""Commands that do one of several things, named by a first word: ``data prepare``, ``tokenizer train``."""

from collections.abc import Mapping, Set

from nanochat_np.config import Common
from nanochat_np.errors import ConfigError

EVERY = {"action", *Common.__struct_fields__}


def require_action(command: str, action: str | None, given: Set[str], flags: Mapping[str, Set[str]]) -> str:
    """The action, once it is there and every flag given is one that it reads (``flags``, by action).

    Raises ConfigError otherwise, naming the actions or the flag.
    """
    if action is None:
        *others, last = flags
        raise ConfigError(f"{command} needs an action: write {command} {', '.join(others)} or {last}")
    for name in sorted(given - flags[action] - EVERY):
        raise ConfigError(f"--{name.replace('_', '-')} does nothing with {command} {action}: leave it out")
    return action
