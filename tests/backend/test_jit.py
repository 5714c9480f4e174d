import atexit
import os
import runpy
import stat
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

import nanochat_np
from nanochat_np.backend import jit


@pytest.fixture
def numba_is_told(monkeypatch):
    """Run the module anew in an environment; return the folder that Numba is told, and what waits for the exit."""

    def run(**environment):
        at_exit = []
        monkeypatch.setattr(atexit, "register", lambda *args, **kwargs: at_exit.append((args, kwargs)))
        monkeypatch.delenv("NUMBA_CACHE_DIR", raising=False)
        for name, value in environment.items():
            monkeypatch.setenv(name, str(value))
        told = []
        config = SimpleNamespace(reload_config=lambda: told.append(os.environ["NUMBA_CACHE_DIR"]))
        monkeypatch.setitem(sys.modules, "numba", SimpleNamespace(config=config, njit=None))
        runpy.run_path(jit.__file__)
        return Path(*told), at_exit

    return run


def test_what_the_user_set_is_kept(numba_is_told, tmp_path):
    assert numba_is_told(NUMBA_CACHE_DIR=tmp_path) == (tmp_path, [])


def test_the_folder_is_in_the_users_cache(numba_is_told, tmp_path):
    folder, at_exit = numba_is_told(XDG_CACHE_HOME=tmp_path / "cache")
    assert folder == tmp_path / "cache" / "nanochat_np" / f"{nanochat_np.__version__}-{jit.source_hash()}"
    assert folder.is_dir()
    assert not at_exit


def test_where_the_cache_cannot_be_written_a_private_folder_lasts_as_long_as_the_process(numba_is_told, tmp_path):
    (tmp_path / "file").touch()
    folder, at_exit = numba_is_told(XDG_CACHE_HOME=tmp_path / "file")
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    ((remove, *args), options), *_ = at_exit
    remove(*args, **options)
    assert not folder.exists()


@pytest.mark.parametrize("name", ["kernels/new.py", "scalar/new.py"])
def test_an_edit_of_any_source_changes_the_folder(tmp_path, monkeypatch, name):
    source = tmp_path / name
    source.parent.mkdir()
    monkeypatch.setattr(jit, "_PACKAGE", tmp_path)
    hashes = [jit.source_hash()]
    for text in ("x = 1", "x = 2"):
        source.write_text(text)
        hashes.append(jit.source_hash())
    assert len(set(hashes)) == 3


def test_the_users_cache(monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", "/somewhere")
    assert jit.user_cache() == Path("/somewhere")
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("LOCALAPPDATA", "/local")
    places = {}
    for platform in ("linux", "darwin", "win32"):
        monkeypatch.setattr(sys, "platform", platform)
        places[platform] = jit.user_cache()
    assert places == {
        "linux": Path.home() / ".cache",
        "darwin": Path.home() / "Library" / "Caches",
        "win32": Path("/local"),
    }
