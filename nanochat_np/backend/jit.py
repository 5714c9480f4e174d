"""Numba, told where to keep compiled code.  Every compiled function takes ``njit`` from here.

Numba's cache notices an edit of a function's own file but not of the modules that it imports, so the folder's name
carries a hash of all sources that hold compiled code.  NUMBA_CACHE_DIR, where set, is respected.
"""

import atexit
import hashlib
import os
import shutil
import sys
import tempfile
from pathlib import Path

import nanochat_np

_PACKAGE = Path(nanochat_np.__file__).parent


def source_hash() -> str:
    """First 16 hexadecimal digits of the SHA-256 over the names and texts of all sources with compiled functions."""
    digest = hashlib.sha256()
    for source in sorted([Path(__file__), *_PACKAGE.glob("kernels/*.py"), *_PACKAGE.glob("scalar/*.py")]):
        digest.update(source.name.encode() + b"\0" + source.read_bytes() + b"\0")
    return digest.hexdigest()[:16]


def user_cache() -> Path:
    """The user's folder for data that can be made again: XDG_CACHE_HOME, else what the platform has."""
    if xdg := os.environ.get("XDG_CACHE_HOME"):
        return Path(xdg)
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local")
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Caches"
    return Path.home() / ".cache"


def compiled_code_folder() -> Path:
    """A folder that can be written: one in the user's cache, else a private one that goes when the process ends."""
    try:
        folder = user_cache() / "nanochat_np" / f"{nanochat_np.__version__}-{source_hash()}"
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            return folder
    except (OSError, RuntimeError):  # RuntimeError: the user has no home
        private = tempfile.mkdtemp(prefix="nanochat_np_")
        atexit.register(shutil.rmtree, private, ignore_errors=True)
        return Path(private)


if not os.environ.get("NUMBA_CACHE_DIR"):
    os.environ["NUMBA_CACHE_DIR"] = str(compiled_code_folder())

from numba import config, njit  # noqa: E402

config.reload_config()  # where somebody imported Numba before


def is_cold() -> bool:
    """Whether nothing is compiled yet in the folder that Numba keeps it in."""
    return next(Path(config.CACHE_DIR).rglob("*.nbi"), None) is None


__all__ = ["is_cold", "njit"]
