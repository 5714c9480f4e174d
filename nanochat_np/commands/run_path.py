"""Which folder a training command works in."""

from pathlib import Path

from nanochat_np.config import StageConfig, TrainConfig
from nanochat_np.errors import CheckpointError, ConfigError
from nanochat_np.train.resume import command_of
from nanochat_np.train.run_folder import RunFolder, newest_begun


def run_path(config: TrainConfig | StageConfig) -> Path | None:
    """The folder of the run; None where one is to be made.  Raises CheckpointError where there is none to resume."""
    if config.out is not None:
        return Path(config.out).expanduser()
    if not config.resume:
        return None
    command = command_of(type(config))
    newest = newest_begun(Path("results"), command)
    if newest is None:
        raise CheckpointError(f"--resume: there is no run of {command} under results/: name one with --out")
    return newest


def require_free(path: Path | None, resume: bool) -> None:
    """Raise ConfigError where a new run would mix with one that the folder holds."""
    if path and not resume and RunFolder(path).holds_run():
        raise ConfigError(f"--out {path}: holds a run already: go on with --resume, or choose another folder")
