"""The properties of the mathematics once more, over twenty times as many examples."""

import subprocess
import sys
from pathlib import Path

import pytest

PARTS = ["ops", "kernels", "nn", "optim", "infer", "text", "evaluate", "backend/test_random.py"]


@pytest.mark.slow
@pytest.mark.parametrize("part", PARTS)
def test_properties_over_many_more_examples(part):
    tests = Path(__file__).parent
    command = [sys.executable, "-m", "pytest", "-q", "--hypothesis-profile=thorough", str(tests / part)]
    run = subprocess.run(command, cwd=tests.parent, capture_output=True, text=True, timeout=600)
    assert run.returncode == 0, run.stdout[-5000:]
