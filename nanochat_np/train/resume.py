"""What a resumed run keeps from its folder, and what may be said anew."""

from collections.abc import Set
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from nanochat_np.config import Common, MidtrainConfig, PretrainConfig, RlConfig, SftConfig, TrainConfig
from nanochat_np.errors import CheckpointError, ConfigError
from nanochat_np.train.run_folder import SCHEMA, RunFolder

Settings = TypeVar("Settings", bound=Common)

# Flags of this call alone, whatever the run was begun with.
_OWN = {*Common.__struct_fields__, "out", "resume", "resume_from_step"}
# Flags that change what is kept or how long it goes on, but not what a step computes.
_OF_A_STAGE = {"num_iterations", "eval_every", "eval_tokens", "sample_every", "sample_tokens", "save_every"} | {
    *("keep", "recompute", "device", "sinks", "run", "config")
}
_FREE: dict[type, Set[str]] = {
    TrainConfig: {"steps", "eval_every", "checkpoint_every", "val_tokens", "sample_tokens", "device"},
    PretrainConfig: _OF_A_STAGE | {"core_metric_every", "core_metric_max_per_task", "core_bundle", "dry_run"},
    MidtrainConfig: _OF_A_STAGE | {"task_every", "task_items"},
    SftConfig: _OF_A_STAGE | {"task_every", "task_items"},
    RlConfig: _OF_A_STAGE | {"eval_examples"},
}
_GUARDS = {"memory_guard_ratio", "memory_guard_window"}


def resumed_config(run: RunFolder, config: Settings, given: frozenset[str]) -> Settings | None:
    """The settings of the run in the folder with the free flags of this call, or None where it holds no run.

    Raises ConfigError for a flag that contradicts the run, CheckpointError for a config.json that cannot be read.
    """
    content = run.read_config()
    if content is None:
        return None
    saved = stored_config(content, run.config_path, type(config))
    free = _FREE[type(config)] | _GUARDS
    own = _OWN & set(config.__struct_fields__)
    for name in sorted(given - own - free):
        if getattr(config, name) != getattr(saved, name):
            raise ConfigError(
                f"--{name.replace('_', '-')} {getattr(config, name)}: the run in {run.path} has "
                f"{getattr(saved, name)}; leave it out to go on, or start anew in another --out"
            )
    return msgspec.structs.replace(saved, **{name: getattr(config, name) for name in own | (given & free)})


def stored_config(content: dict[str, Any], path: Path, kind: type[Settings]) -> Settings:
    """The settings of this kind in the content of a config.json."""
    command = command_of(kind)
    if content.get("command", command) != command:
        raise ConfigError(f"{path}: is of a run of {content['command']}, not of {command}: name another --out")
    try:
        return msgspec.convert(content["config"], kind)
    except (KeyError, msgspec.ValidationError) as error:
        raise CheckpointError(f"{path}: damaged ({error})") from error


def config_record(config: Common, command_line: list[str]) -> dict[str, Any]:
    """The content of config.json."""
    return {"schema": SCHEMA, "command": command_of(type(config)), "command_line": command_line, "config": config}


def command_of(kind: type[Common]) -> str:
    """The command whose settings these are."""
    return kind.__name__.removesuffix("Config").lower()
