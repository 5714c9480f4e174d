import os
import tempfile
from pathlib import Path

import pytest

from nanochat_np.train import pretrain_run, run
from tests.train.lab import Lab

_MEMORY = Path("/dev/shm")


@pytest.fixture
def tmp_path():
    """A folder of the test's own, in memory where the system has such a place: these tests make thousands of files."""
    with tempfile.TemporaryDirectory(dir=_MEMORY if os.access(_MEMORY, os.W_OK) else None) as folder:
        yield Path(folder).resolve()


@pytest.fixture
def lab(tmp_path, monkeypatch, capsys):
    """Calls of the program, with the test's own folder as the current one, that wait for no disk and no git."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(os, "fsync", lambda descriptor: None)
    for module in (run, pretrain_run):
        monkeypatch.setattr(module, "env_record", lambda *about: {})
    monkeypatch.setattr(pretrain_run, "peak_flops", lambda device, dtype: 1e9)
    return Lab(capsys)
