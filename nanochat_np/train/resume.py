"""What a resumed run keeps from its folder, and what may be said anew."""

from pathlib import Path
from typing import Any

import msgspec

from nanochat_np.config import Common, TrainConfig
from nanochat_np.errors import CheckpointError, ConfigError
from nanochat_np.train.run_folder import SCHEMA, RunFolder

# Flags of this call alone, whatever the run was begun with.
OWN = {*Common.__struct_fields__, "out", "resume"}
# Flags that change what is kept or how long it goes on, but not what a step computes.
FREE = {"steps", "eval_every", "checkpoint_every", "val_tokens", "sample_tokens", "device"}
FREE |= {"memory_guard_ratio", "memory_guard_window"}


def resumed_config(run: RunFolder, config: TrainConfig, given: frozenset[str]) -> TrainConfig | None:
    """The settings of the run in the folder with the free flags of this call, or None where it holds no run.

    Raises ConfigError for a flag that contradicts the run, CheckpointError for a config.json that cannot be read.
    """
    content = run.read_config()
    if content is None:
        return None
    saved = stored_config(content, run.config_path)
    for name in sorted(given - OWN - FREE):
        if getattr(config, name) != getattr(saved, name):
            raise ConfigError(
                f"--{name.replace('_', '-')} {getattr(config, name)}: the run in {run.path} has "
                f"{getattr(saved, name)}; leave it out to go on, or start anew in another --out"
            )
    changes = {name: getattr(config, name) for name in OWN | (given & FREE)}
    return msgspec.structs.replace(saved, **changes).resolved()


def stored_config(content: dict[str, Any], path: Path) -> TrainConfig:
    """The settings in the content of a config.json."""
    try:
        return msgspec.convert(content["config"], TrainConfig)
    except (KeyError, msgspec.ValidationError) as error:
        raise CheckpointError(f"{path}: damaged ({error})") from error


def config_record(config: TrainConfig, command_line: list[str]) -> dict[str, Any]:
    """The content of config.json."""
    return {"schema": SCHEMA, "command": "train", "command_line": command_line, "config": config}
