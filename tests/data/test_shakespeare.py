import hashlib
import socket
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from nanochat_np.data import shakespeare as module
from nanochat_np.data.shakespeare import cache_folder, shakespeare
from nanochat_np.errors import DataError

BODY = b"First Citizen:\nBefore we proceed any further, hear me speak.\n" * 50
SHA256 = hashlib.sha256(BODY).hexdigest()


class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        self.server.requests += 1
        if self.path == "/missing":
            self.send_error(404)
            return
        self.send_response(200)
        self.send_header("Content-Length", str(len(BODY)))
        self.end_headers()
        self.wfile.write({"/good": BODY, "/cut": BODY[:1000], "/wrong": BODY.swapcase()}[self.path])

    def log_message(self, *args):
        pass


@pytest.fixture(scope="module")
def server():
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.fixture
def url(server):
    server.requests = 0
    return f"http://127.0.0.1:{server.server_port}"


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("no_proxy", "*")
    monkeypatch.setenv("NANOCHAT_NP_DATA", str(tmp_path / "cache"))
    return tmp_path / "cache"


def refusal(url):
    with pytest.raises(DataError) as caught:
        shakespeare(url, SHA256)
    message = str(caught.value)
    assert "\n" not in message
    assert "--data pydocs" in message
    return message


def test_it_is_fetched_once_and_then_read_from_the_cache(server, url, cache):
    assert shakespeare(f"{url}/good", SHA256) == BODY.decode()
    assert shakespeare(f"{url}/good", SHA256) == BODY.decode()
    assert server.requests == 1
    assert [path.name for path in cache.iterdir()] == ["tinyshakespeare.txt"]


@pytest.mark.parametrize(
    ("page", "reason"), [("missing", "404 Not Found"), ("cut", "1000 bytes read"), ("wrong", "is not the expected")]
)
def test_a_bad_answer_leaves_nothing_and_says_how_to_go_on(url, cache, page, reason):
    message = refusal(f"{url}/{page}")
    assert f"{url}/{page}: " in message
    assert reason in message
    assert f"place the file at {cache / 'tinyshakespeare.txt'}" in message
    assert not cache.exists()


def test_no_server(cache):
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        message = refusal(f"http://127.0.0.1:{unused.getsockname()[1]}/good")
    assert "Connection refused" in message
    assert str(cache) in message


def test_a_silent_server_is_given_up(monkeypatch):
    monkeypatch.setattr(module, "TIMEOUT_SECONDS", 0.05)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        assert "timed out" in refusal(f"http://127.0.0.1:{silent.getsockname()[1]}/good")


def test_a_damaged_cache_is_neither_used_nor_overwritten(server, url, cache):
    cache.mkdir()
    path = cache / "tinyshakespeare.txt"
    path.write_bytes(BODY[:-1])
    message = refusal(f"{url}/good")
    assert str(path) in message
    assert "delete it" in message
    assert path.read_bytes() == BODY[:-1]
    assert server.requests == 0


def test_a_cache_that_cannot_be_made_is_named(url, cache):
    cache.write_text("a file where the folder should be")
    message = refusal(f"{url}/good")
    assert str(cache) in message
    assert "NANOCHAT_NP_DATA" in message


def test_a_write_that_fails_leaves_nothing(url, cache, monkeypatch):
    def disk_full(*args):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(module.os, "fsync", disk_full)
    assert "No space left on device" in refusal(f"{url}/good")
    assert list(cache.iterdir()) == []


@pytest.mark.slow
def test_many_at_once_all_get_the_text(url, cache):
    texts = []
    threads = [threading.Thread(target=lambda: texts.append(shakespeare(f"{url}/good", SHA256))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert texts == [BODY.decode()] * 8
    assert [path.name for path in cache.iterdir()] == ["tinyshakespeare.txt"]


@pytest.mark.parametrize(
    ("variables", "folder"),
    [
        ({"NANOCHAT_NP_DATA": "/data", "XDG_CACHE_HOME": "/xdg", "HOME": "/home/me"}, "/data"),
        ({"NANOCHAT_NP_DATA": "", "XDG_CACHE_HOME": "/xdg", "HOME": "/home/me"}, "/xdg/nanochat_np/data"),
        ({"NANOCHAT_NP_DATA": "", "XDG_CACHE_HOME": "", "HOME": "/home/me"}, "/home/me/.cache/nanochat_np/data"),
    ],
)
def test_the_cache_folder(monkeypatch, variables, folder):
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert str(cache_folder()) == folder
