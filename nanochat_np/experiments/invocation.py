"""The command that a record of flags came from, for whoever wants the same figures again."""

import shlex

from nanochat_np.config import Common

_NO_INFLUENCE = {"json", "quiet", "debug"}  # on the figures


def invocation(command: str, config: Common) -> str:
    """``python -m nanochat_np COMMAND`` with every flag that is not at its default."""
    defaults = type(config)()
    words = ["python", "-m", "nanochat_np", command]
    for name in config.__struct_fields__:
        value = getattr(config, name)
        if name not in _NO_INFLUENCE and value != getattr(defaults, name):
            text = ",".join(map(str, value)) if isinstance(value, tuple) else str(value)
            words += [f"--{name.replace('_', '-')}", text]
    return shlex.join(words)
