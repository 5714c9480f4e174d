"""Where a benchmark writes: summary.json, env.json and README.md, with the command that asked for them."""

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec

from nanochat_np.backend.device import Device
from nanochat_np.backend.files import replace_file, told_as
from nanochat_np.config import BenchConfig
from nanochat_np.errors import ConfigError, RunError
from nanochat_np.experiments.invocation import invocation
from nanochat_np.train.env_record import env_record
from nanochat_np.train.interrupts import stop_at_once
from nanochat_np.train.run_folder import RunFolder, new_path


class BenchFolder:
    """The folder of a result, held while it is measured.  ``environment`` is what env.json has."""

    def __init__(self, folder: RunFolder, environment: dict[str, Any]) -> None:
        self.path, self.environment = folder.path, environment
        self._folder = folder

    def write(self, summary: msgspec.Struct, readme: str) -> None:
        """The figures, for programs and for people.  Raises RunError where the disk does not take them."""
        self._folder.write_json("summary.json", summary)
        with told_as(RunError, "cannot write the result"):
            replace_file(self.path / "README.md", readme.encode())


@contextlib.contextmanager
def bench_folder(config: BenchConfig, device: Device) -> Iterator[BenchFolder]:
    """``--out``, or results/bench_ACTION_TIME, with env.json in it.  Raises ConfigError where a training run is."""
    if config.out and RunFolder(Path(config.out)).holds_run():
        raise ConfigError(f"--out {config.out}: holds a training run: choose another folder")
    path = Path(config.out) if config.out else new_path(f"bench_{config.action}")
    with stop_at_once(), RunFolder(path) as folder:
        environment = env_record(device)
        folder.write_json("env.json", environment)
        yield BenchFolder(folder, environment)


def invoked(config: BenchConfig) -> str:
    """The command line that gives this record."""
    others = invocation("bench", msgspec.structs.replace(config, action=None))
    return others.replace("bench", f"bench {config.action}", 1)
