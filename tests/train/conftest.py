import pytest

from tests.train.lab import Lab, quicken


@pytest.fixture
def lab(tmp_path, monkeypatch, capsys):
    """Calls of the program, with the test's own folder as the current one, that wait for no disk, git or plot."""
    monkeypatch.chdir(tmp_path)
    quicken(monkeypatch)
    return Lab(capsys)
