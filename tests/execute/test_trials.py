"""What generated code may try, in each layer that encloses it and works on this machine."""

import os
import socket
import sys
import threading
import time
from pathlib import Path

import psutil
import pytest

from nanochat_np.execute import execute_code, works
from nanochat_np.execute import layers as module

pytestmark = pytest.mark.slow  # a new root takes a tenth of a second to build
LAYERS = ("bubblewrap", "namespaces")


enclosed = pytest.mark.parametrize(
    "layer",
    [pytest.param(name, marks=pytest.mark.skipif(not works(name), reason="not here")) for name in LAYERS],
)


@enclosed
def test_many_files_fill_only_its_own(layer):
    code = "for n in range(99):\n    with open(str(n), 'wb') as f: f.write(bytes(2**20))"
    assert "No space left" in execute_code(code, layer=layer).error


@enclosed
def test_reading_outside(layer, tmp_path):
    secret = tmp_path / "secret"
    secret.write_text("of the user")
    for path in (secret, Path(__file__), Path("/etc/passwd"), Path(f"/proc/{os.getpid()}/environ")):
        done = execute_code(f"print(open({str(path)!r}).read())", layer=layer)
        assert "No such file" in done.error, done
        assert not done.stdout


@enclosed
def test_a_link_leads_nowhere(layer, tmp_path):
    secret = tmp_path / "secret"
    secret.write_text("of the user")
    code = f"import os\nos.symlink({str(secret)!r}, 'link')\nprint(open('link').read())"
    assert "No such file" in execute_code(code, layer=layer).error
    climb = f"print(open('../' * 40 + {str(secret)[1:]!r}).read())"
    assert "No such file" in execute_code(climb, layer=layer).error
    escape = f"import os\nos.mkdir('d')\nos.chroot('d')\nos.chdir('../' * 40)\nprint(os.path.exists({str(secret)!r}))"
    assert "Operation not permitted" in execute_code(escape, layer=layer).error


@enclosed
def test_writing_outside(layer, tmp_path, monkeypatch):
    tmp_path.chmod(0o777)
    assert not execute_code(f"open({str(tmp_path / 'new')!r}, 'w')", layer=layer).success
    assert list(tmp_path.iterdir()) == []
    monkeypatch.setattr(module, "_SYSTEM", (*module._SYSTEM, str(tmp_path)))  # seen, and everyone's to write
    done = execute_code(f"open({str(tmp_path / 'new')!r}, 'w')", layer=layer)
    assert "Read-only" in done.error
    for folder in {sys.prefix, sys.base_prefix, "/usr", "/usr/lib"}:
        done = execute_code(f"open({folder + '/new'!r}, 'w')", layer=layer)
        assert any(words in done.error for words in ("Read-only", "Permission denied")), done


@enclosed
def test_the_network(layer):
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        done = execute_code(f"import socket; socket.create_connection(('127.0.0.1', {port}), 2)", layer=layer)
    assert not done.success
    assert any(words in done.error for words in ("unreachable", "refused")), done
    assert (
        "unreachable" in execute_code("import socket; socket.create_connection(('1.1.1.1', 80), 2)", layer=layer).error
    )


@enclosed
def test_signals_do_not_reach_outside(layer):
    code = (
        f"import os\nfor pid in (os.getppid(), {os.getpid()}, 1):\n    try: os.kill(pid, 9)\n    except OSError: pass"
    )
    assert execute_code(code + "\nprint('alive')", layer=layer).stdout == "alive\n"
    assert execute_code("import os; os.kill(-1, 9)", layer=layer).error  # all it can see: itself at most


@enclosed
def test_a_fork_bomb(layer):
    code = "import os\nwhile True:\n    try: os.fork()\n    except OSError: pass"
    most, ended = [], threading.Event()

    def watch():
        while not ended.is_set():
            most.append(len(psutil.Process().children(recursive=True)))
            time.sleep(0.02)

    watcher = threading.Thread(target=watch)
    watcher.start()
    done = execute_code(code, timeout=0.5, layer=layer)
    ended.set()
    watcher.join()
    assert done.timed_out
    assert max(most) < 20
    assert psutil.Process().children(recursive=True) == []


def leftovers():
    return [each for each in psutil.process_iter(["cmdline"]) if "RLIMIT_NPROC" in str(each.info["cmdline"])]


@enclosed
def test_nothing_outlives_it(layer):
    code = "import os, time\nif os.fork() == 0:\n    os.setsid()\n    if os.fork() == 0:\n        time.sleep(77)"
    assert execute_code(code, layer=layer).success
    assert leftovers() == []
    unties = "import ctypes, time\nctypes.CDLL(None).prctl(1, 0)\ntime.sleep(77)"  # what dies with its parent need not
    assert execute_code(unties, timeout=0.3, layer=layer).timed_out
    assert leftovers() == []


@enclosed
def test_what_is_read_only_stays_so(layer):
    code = (
        "import ctypes\n"
        "libc = ctypes.CDLL(None, use_errno=True)\n"
        "remount = lambda: (libc.mount(None, b'/usr', None, 32 | 4096, None), ctypes.get_errno())\n"
        "print(remount())\n"
        "libc.unshare(0x10000000 | 0x20000)  # a user namespace inside, if it may: root of that one alone\n"
        "print(remount())"
    )
    assert execute_code(code, layer=layer).stdout == "(-1, 1)\n" * 2
