"""A program in a child: what comes of it, and the bounds that hold in every layer."""

import subprocess
import sys
import tempfile
import time

import pytest

from nanochat_np.errors import RunError
from nanochat_np.execute import execute_code, execution, layers, strongest_layer, works

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="has no layer")
everywhere = pytest.mark.parametrize(
    "layer",
    [
        "limits",
        *(
            pytest.param(name, marks=[pytest.mark.slow, pytest.mark.skipif(not works(name), reason="not here")])
            for name in ("bubblewrap", "namespaces")
        ),
    ],
)


@everywhere
def test_a_program_runs(layer):
    done = execute_code("import math, sys\nprint(math.pi, __name__, 'é')\nprint('b', file=sys.stderr)", layer=layer)
    assert done.success
    assert (done.stdout, done.stderr) == ("3.141592653589793 __main__ é\n", "b\n")
    assert (done.error, done.timed_out, done.memory_exceeded) == (None, False, False)


@everywhere
@pytest.mark.parametrize(
    ("code", "error"),
    [
        ("1 +", "SyntaxError: invalid syntax"),
        ("assert 1 == 2, 'no'", "AssertionError: no"),
        ("raise SystemExit(3)", "exit status 3"),
        ("input()", "EOFError: EOF when reading a line"),
        ("print('\\ud800')", "UnicodeEncodeError"),
    ],
)
def test_a_program_fails(layer, code, error):
    done = execute_code(code, layer=layer)
    assert not done.success
    assert done.error.startswith(error)


@everywhere
def test_its_world_is_clean(layer, monkeypatch, tmp_path):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setenv("A_SECRET", "of the user")
    done = execute_code("import os, sys; print(os.listdir('.'), 'A_SECRET' in os.environ, sys.argv[1:])", layer=layer)
    assert done.stdout.startswith("[] False"), done
    assert execute_code("open('left', 'w').write('x')", layer=layer).success
    assert list(tmp_path.iterdir()) == []


@everywhere
def test_an_endless_loop_ends(layer):
    start = time.monotonic()
    done = execute_code("print('on', flush=True)\nwhile True: pass", timeout=0.3, layer=layer)
    assert time.monotonic() - start < 3
    assert (done.success, done.timed_out, done.error, done.stdout) == (False, True, "took longer than 0.3 s", "on\n")


@everywhere
def test_a_memory_bomb(layer):
    done = execute_code("x = bytearray(2**30)", layer=layer)
    assert not done.success
    assert done.memory_exceeded
    assert execute_code("x = bytearray(2**26)", layer=layer).success


@everywhere
def test_huge_output(layer):
    done = execute_code("import sys\nwhile True: sys.stdout.write('x' * 2**16)", layer=layer)
    assert not done.success
    assert "File too large" in done.error
    assert len(done.stdout) == 2**20


@everywhere
def test_huge_files(layer):
    done = execute_code("f = open('f', 'wb')\nfor _ in range(99): f.write(bytes(2**20)); f.flush()", layer=layer)
    assert "File too large" in done.error


def test_the_strongest_layer_is_taken(monkeypatch):
    monkeypatch.setattr(layers, "works", lambda layer: layer != "bubblewrap")
    assert strongest_layer() == "namespaces"
    monkeypatch.setattr(layers, "works", lambda layer: layer == "limits")
    assert strongest_layer() == "limits"


def test_a_system_without_any(monkeypatch):
    monkeypatch.setattr(execution, "strongest_layer", lambda: None)
    with pytest.raises(RunError, match="cannot be run here"):
        execute_code("print(1)")


def test_where_there_are_no_limits_it_still_imports():
    code = "import sys; sys.modules['resource'] = None; import nanochat_np.execute"
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


def test_a_missing_program_is_no_layer(monkeypatch):
    monkeypatch.setattr(layers, "PROGRAMS", "/nowhere")
    works.cache_clear()
    monkeypatch.setenv("PATH", "/nowhere")
    assert strongest_layer() == "limits"
    works.cache_clear()
