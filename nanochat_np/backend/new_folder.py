"""A folder for another program, or from one, that is whole or not there."""

import contextlib
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

from nanochat_np.backend.files import beside, sync_folder, told_as
from nanochat_np.errors import ConfigError, RunError


def require_new(folder: Path) -> None:
    """Raises ConfigError where something is there already, except for an empty folder."""
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise ConfigError(f"--out {folder}: exists already: choose a new folder, or remove this one")


@contextlib.contextmanager
def new_folder(folder: Path) -> Iterator[Path]:
    """A folder to write to, which becomes ``folder`` when that has gone well, and vanishes where it has not.

    Raises ConfigError where it cannot be made, RunError where it cannot be written.
    """
    try:
        with told_as(ConfigError, f"--out {folder}: cannot be written"):
            beside(folder).mkdir(parents=True)
        with told_as(RunError, f"cannot write {folder}"):
            yield beside(folder)
            if folder.exists():
                folder.rmdir()
            os.replace(beside(folder), folder)
            sync_folder(folder.parent)
    finally:
        shutil.rmtree(beside(folder), ignore_errors=True)
