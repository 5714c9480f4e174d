"""Downloads from a server that fails in every way."""

import hashlib
import os
import socket
import threading
import time

import pytest

from nanochat_np.data import fetch as module
from nanochat_np.data.download import LOCK, Plan, download, plan
from nanochat_np.data.fetch import Patience, Stopped, fetch
from nanochat_np.data.parquet import parquet_writer
from nanochat_np.data.split import read_split
from nanochat_np.errors import ConfigError, DataError
from tests.data import file_server
from tests.data.file_server import Page

BODY = bytes(range(256)) * 8
SHA256 = hashlib.sha256(BODY).hexdigest()
QUICK = Patience(attempts=5, timeout_seconds=5, wait_seconds=0.0005)


@pytest.fixture(scope="module")
def module_server():
    with file_server.file_server() as server:
        yield server


@pytest.fixture
def server(module_server, monkeypatch):
    monkeypatch.setenv("no_proxy", "*")
    module_server.pages.clear()
    module_server.requests.clear()
    yield module_server
    module_server.released.set()
    module_server.released = threading.Event()


@pytest.fixture
def get(server, tmp_path):
    """Fetch the page that is called so; returns what came.  In the folder there is nothing else then."""

    def fetch_page(name="file", check=lambda path: None, patience=QUICK):
        path = tmp_path / "file"
        fetch(f"{server.url}/{name}", path, check, patience, threading.Event())
        assert os.listdir(tmp_path) == ["file"]
        return path.read_bytes()

    return fetch_page


def ranges(server):
    return [asked.get("Range") for _, asked in server.requests]


# -- one file


@pytest.mark.parametrize("block", [100, len(BODY), 2**20])
def test_a_file(server, get, monkeypatch, block):
    monkeypatch.setattr(module, "BLOCK_BYTES", block)
    server.pages["/file"] = Page(BODY)
    assert get() == BODY
    assert server.requests == [("/file", {})]


@pytest.mark.parametrize("code", [500, 502, 503, 429, 408])
def test_an_error_that_may_pass_is_asked_again(server, get, code):
    server.pages["/file"] = Page(BODY, faults=[file_server.error(code)] * 4)
    assert get() == BODY
    assert len(server.requests) == 5


@pytest.mark.parametrize("fault", [file_server.garbage, file_server.hang_up, file_server.short_length])
def test_a_broken_answer_is_asked_again(server, get, fault):
    def check(path):
        if path.read_bytes() != BODY:
            raise DataError("not the file")

    server.pages["/file"] = Page(BODY, etag=None, faults=[fault])
    assert get(check=check) == BODY
    assert ranges(server) == [None, None]


def test_the_waits_double(server, get, monkeypatch):
    waits = []
    monkeypatch.setattr(threading.Event, "wait", lambda self, seconds=None: waits.append(seconds))
    server.pages["/file"] = Page(BODY, faults=[file_server.error(500)] * 3)
    get(patience=Patience(wait_seconds=2))
    assert [seconds for seconds in waits if seconds and seconds >= 2] == [2, 4, 8]


def test_after_the_last_attempt_it_is_an_error_and_what_has_come_is_kept(server, get, tmp_path):
    server.pages["/file"] = Page(BODY, faults=[file_server.cut, *[file_server.error(500)] * 9])
    with pytest.raises(DataError) as caught:
        get()
    assert f"{server.url}/file: cannot be fetched in 5 attempts: the server answered 500" in str(caught.value)
    assert len(server.requests) == 5
    server.pages["/file"].faults.clear()
    assert get() == BODY  # another call, as of another process
    assert ranges(server)[-1] == "bytes=1024-"


@pytest.mark.parametrize("code", [400, 401, 403, 404, 410])
def test_a_refusal_is_final(server, get, tmp_path, code):
    server.pages["/file"] = Page(BODY, faults=[file_server.error(code)])
    with pytest.raises(DataError, match=f"/file: the server answered {code} .*: check the address"):
        get()
    assert len(server.requests) == 1
    assert not os.listdir(tmp_path)


def test_no_server(get, server):
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]
        server.pages["/file"] = Page(redirect=f"http://127.0.0.1:{port}/")
        with pytest.raises(DataError, match=r"in 2 attempts: .*Connection refused"):
            get(patience=Patience(2, 5, 0))


@pytest.mark.parametrize("fault", [file_server.hang, file_server.silence])
def test_a_server_that_hangs_is_given_up_and_asked_again(server, get, fault):
    server.pages["/file"] = Page(BODY, faults=[fault])
    start = time.monotonic()
    assert get(patience=Patience(2, 0.05, 0)) == BODY
    assert time.monotonic() - start < 2


# -- going on


def test_a_file_that_is_cut_is_gone_on_with(server, get):
    server.pages["/file"] = Page(BODY, faults=[file_server.cut, file_server.cut])
    assert get() == BODY
    half = {"Range": "bytes=1024-", "If-Range": '"one"'}
    assert server.requests == [("/file", {}), ("/file", half), ("/file", half | {"Range": "bytes=1536-"})]


def test_a_server_that_ignores_ranges_sends_it_all_again(server, get):
    server.pages["/file"] = Page(BODY, ranges=False, faults=[file_server.cut])
    assert get() == BODY
    assert ranges(server) == [None, "bytes=1024-"]


def test_a_file_that_has_changed_meanwhile_is_begun_anew(server, get):
    def cut_and_change(handler, page):
        file_server.cut(handler, page)
        page.body, page.etag = BODY[::-1], '"two"'

    server.pages["/file"] = Page(BODY, faults=[cut_and_change])
    assert get() == BODY[::-1]


@pytest.mark.parametrize("etag", [None, 'W/"weak"'])
def test_without_a_name_of_its_version_it_is_begun_anew(server, get, etag):
    server.pages["/file"] = Page(BODY, etag=etag, faults=[file_server.cut])
    assert get() == BODY
    assert ranges(server) == [None, None]


def test_another_part_than_was_asked_for_is_not_taken(server, get):
    def other_part(handler, page):
        handler.headers.replace_header("Range", "bytes=1500-")  # a hole before it
        handler.answer(page)

    server.pages["/file"] = Page(BODY, faults=[file_server.cut, other_part])
    assert get() == BODY
    assert ranges(server) == [None, "bytes=1024-", None]


def test_nothing_more_to_come_is_begun_anew(server, get, tmp_path):
    (tmp_path / ".file.part").write_bytes(BODY)
    (tmp_path / ".file.version").write_text('"one"')
    server.pages["/file"] = Page(BODY)
    assert get() == BODY
    assert ranges(server) == ["bytes=2048-", None]


# -- the hub: its sha256 stands on the redirect


def hub(server, body=BODY, **changes):
    """The ETag of the second host has the shape of a sha256, and is another."""
    server.pages["/file"] = Page(redirect=f"{server.url}/store", linked=SHA256)
    server.pages["/store"] = Page(body, etag=f'"{"0" * 64}"', **changes)


def test_the_sha256_that_the_hub_tells_is_compared(server, get):
    hub(server)
    assert get() == BODY


def test_another_sha256_is_damage(server, get, tmp_path):
    hub(server, body=BODY[:-1] + b"\0")
    with pytest.raises(DataError, match=f"damaged: its sha256 is .* and {SHA256} was announced"):
        get()
    assert ranges(server) == [None] * 10
    assert not os.listdir(tmp_path)


def test_of_the_hub_it_is_gone_on_with_though_the_store_names_no_version(server, get):
    hub(server, faults=[file_server.cut])
    server.pages["/store"].etag = None
    assert get() == BODY
    assert server.requests[3] == ("/store", {"Range": "bytes=1024-"})


def test_what_has_come_of_another_file_is_not_gone_on_with(server, get, tmp_path):
    (tmp_path / ".file.part").write_bytes(b"old")
    (tmp_path / ".file.version").write_text("1" * 64)
    hub(server)
    assert get() == BODY
    assert server.requests[1] == ("/store", {})


# -- the disk, and being stopped


def test_a_full_disk_is_not_the_network(server, get, monkeypatch):
    def full(*args):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(module.os, "fsync", full)
    server.pages["/file"] = Page(BODY)
    with pytest.raises(OSError, match="No space left"):
        get()
    assert len(server.requests) == 1


def test_it_stops_between_blocks_and_while_it_waits(server, tmp_path):
    stop = threading.Event()
    stop.set()
    server.pages["/file"] = Page(BODY)
    server.pages["/failing"] = Page(BODY, faults=[file_server.error(500)])
    for name in ("file", "failing"):
        with pytest.raises(Stopped):
            fetch(f"{server.url}/{name}", tmp_path / name, lambda path: None, Patience(), stop)


# -- which files


def test_hosted_shards_and_the_one_for_validation():
    climbmix = plan("climbmix", 2)
    assert list(climbmix.addresses) == ["shard_06542.parquet", "shard_00000.parquet", "shard_00001.parquet"]
    assert climbmix.validation == "shard_06542.parquet"
    assert climbmix.addresses["shard_00001.parquet"] == (
        "https://huggingface.co/datasets/karpathy/climbmix-400b-shuffle/resolve/main/shard_00001.parquet"
    )
    fineweb = plan("fineweb-edu", 1822)
    assert (len(fineweb.addresses), fineweb.validation) == (1823, "shard_01822.parquet")
    assert fineweb.addresses["shard_01821.parquet"].startswith(
        "https://huggingface.co/datasets/karpathy/fineweb-edu-100b-shuffle/resolve/main/"
    )


def test_of_numbered_addresses_the_first_is_for_validation():
    numbered = plan("http://host:1/a%20b/part-%03d.parquet?key=%2F", 2)
    assert numbered == Plan(
        {f"part-00{n}.parquet": f"http://host:1/a%20b/part-00{n}.parquet?key=%2F" for n in range(3)},
        "part-000.parquet",
    )
    assert plan("https://host/%d.jsonl", 1).addresses == {f"{n}.jsonl": f"https://host/{n}.jsonl" for n in range(2)}
    assert plan("https://host/a/b.txt?x", 8) == Plan({"b.txt": "https://host/a/b.txt?x"}, None)


@pytest.mark.parametrize(
    "source", ["climbmax", "file:///etc/passwd", "ftp://host/file", "https:///file", "http://h/a/", "http://h"]
)
def test_what_is_no_address_is_refused(source):
    with pytest.raises(ConfigError, match=f"--data {source}: expected climbmix, fineweb-edu or the address"):
        plan(source, 1)


def test_more_shards_than_there_are():
    with pytest.raises(ConfigError, match="--shards 6543: climbmix has 6542 to train on"):
        plan("climbmix", 6543)


# -- many files


@pytest.fixture
def shards(server, tmp_path):
    """Ten shards on the server."""
    for number in range(10):
        path = tmp_path / "made.parquet"
        with open(path, "wb") as file, parquet_writer(file) as write:
            write([f"{number} of ten"] * 20)
        server.pages[f"/{number}.parquet"] = Page(path.read_bytes())
        path.unlink()
    return f"{server.url}/%d.parquet"


def test_shards_come_once_each_and_the_split_is_settled(shards, server, tmp_path):
    counted = []
    assert download(plan(shards, 3), tmp_path, 2, QUICK, counted.append) == 4
    assert counted == [0, 1, 2, 3, 4]
    assert {path.name for path in tmp_path.iterdir()} - {LOCK} == {
        "split.json",
        *(f"{number}.parquet" for number in range(4)),
    }
    assert (tmp_path / "2.parquet").read_bytes() == server.pages["/2.parquet"].body
    assert read_split(tmp_path) == "0.parquet"
    server.requests.clear()
    assert download(plan(shards, 5), tmp_path, 4, QUICK, counted.append) == 2
    assert sorted(path for path, _ in server.requests) == ["/4.parquet", "/5.parquet"]
    assert read_split(tmp_path) == "0.parquet"


def test_a_shard_that_is_there_but_damaged_is_fetched_again(shards, server, tmp_path):
    good = server.pages["/1.parquet"].body
    (tmp_path / "1.parquet").write_bytes(good[:-10])
    (tmp_path / "0.parquet").write_bytes(good)
    assert download(plan(shards, 1), tmp_path, 1, QUICK) == 1
    assert (tmp_path / "1.parquet").read_bytes() == good


def test_what_is_no_parquet_file_does_not_become_one(shards, server, tmp_path):
    server.pages["/1.parquet"].faults = [file_server.login_page] * 5
    with pytest.raises(DataError, match=r"1\.parquet: cannot be fetched in 5 attempts: what came is damaged"):
        download(plan(shards, 1), tmp_path, 1, QUICK)
    assert not list(tmp_path.glob("*1.parquet*"))


def test_one_that_fails_stops_the_others(shards, server, tmp_path):
    del server.pages["/0.parquet"]
    for number in range(1, 10):
        server.pages[f"/{number}.parquet"].faults = [file_server.error(503)]
    started = time.monotonic()
    with pytest.raises(DataError, match=r"0\.parquet: the server answered 404"):
        download(plan(shards, 9), tmp_path, 3, Patience(wait_seconds=30))
    assert time.monotonic() - started < 5
    assert len(server.requests) < 10
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("download")]


def test_several_come_at_a_time(shards, server, tmp_path):
    together, met = threading.Barrier(3, timeout=5), []

    def meet(handler, page):
        met.append(together.wait())
        handler.answer(page)

    for number in range(3):
        server.pages[f"/{number}.parquet"].faults = [meet]
    assert download(plan(shards, 2), tmp_path, 3, QUICK) == 3
    assert sorted(met) == [0, 1, 2]


def test_a_folder_of_other_data_is_left_alone(shards, server, tmp_path):
    download(plan(shards, 1), tmp_path, 1, QUICK)
    with pytest.raises(ConfigError, match=r"holds other data, with 0\.parquet for validation"):
        download(plan(f"{server.url}/x%d.parquet", 1), tmp_path, 1, QUICK)


def test_two_downloads_into_one_folder(shards, tmp_path):
    def second(done):
        with pytest.raises(ConfigError, match="another process is downloading there"):
            download(plan(shards, 1), tmp_path, 1, QUICK)

    assert download(plan(shards, 1), tmp_path, 1, QUICK, second) == 2
