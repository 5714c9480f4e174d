import pytest

from tests.train.lab import Lab


@pytest.fixture
def lab(tmp_path, monkeypatch, capsys):
    """Calls of the program, with the test's own folder as the current one."""
    monkeypatch.chdir(tmp_path)
    return Lab(capsys)
