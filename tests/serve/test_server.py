"""The server as a process: signals, workers, sockets that are not kind."""

import asyncio
import json
import signal
import socket
import time

import httpx
import pytest

from tests.serve.fake import chat, events
from tests.serve.process import NEVER_ENDS, save_model, serving

pytestmark = pytest.mark.slow
PATH = "/v1/chat/completions"
MODEL = {"model": "nanochat-d2", "logit_bias": NEVER_ENDS}


@pytest.fixture
def model(tmp_path):
    return save_model(tmp_path / "run")


def ask(*texts, **fields):
    return chat(*texts) | MODEL | fields


def until_ready(url):
    for _ in range(300):
        try:
            return httpx.get(f"{url}/health").json()
        except httpx.ConnectError:
            time.sleep(0.1)
    raise AssertionError("it never listened")


def test_ctrl_c_finishes_what_is_being_answered(model):
    with serving(model) as process:
        until_ready(process.url)
        with httpx.stream(
            "POST", process.url + PATH, json=ask("a", stream=True, max_tokens=600), timeout=60
        ) as response:
            pieces = response.iter_text()
            first = next(pieces)
            process.popen.send_signal(signal.SIGINT)
            time.sleep(0.3)
            with pytest.raises(httpx.ConnectError):
                httpx.get(f"{process.url}/health")
            chunks = events(first + "".join(pieces))
        assert chunks[-1] == "[DONE]"
        assert chunks[-2]["choices"][0]["finish_reason"] == "length"
        code, said = process.end()
    assert (code, said) == (0, "")


def test_a_second_ctrl_c_does_not_wait(model):
    with serving(model) as process:
        until_ready(process.url)
        with httpx.stream(
            "POST", process.url + PATH, json=ask("a", stream=True, max_tokens=4000), timeout=60
        ) as response:
            pieces = response.iter_text()
            next(pieces)
            process.popen.send_signal(signal.SIGINT)
            time.sleep(0.3)
            started = time.monotonic()
            process.popen.send_signal(signal.SIGINT)
            code, said = process.end()
    assert time.monotonic() - started < 2
    assert (code, said.splitlines()[-1]) == (130, "interrupted")


def test_sigterm_ends_it_too(model):
    with serving(model) as process:
        until_ready(process.url)
        process.popen.send_signal(signal.SIGTERM)
        assert process.end() == (0, "")


def test_workers_share_a_port(model):
    with serving(model, "--workers=2") as process:
        until_ready(process.url)
        pids = set()
        for _ in range(300):  # each connection goes to whichever worker takes it
            pids.add(httpx.get(f"{process.url}/stats").json()["process"])
            if len(pids) == 2:
                break
            time.sleep(0.02)
        assert len(pids) == 2
        answer = httpx.post(process.url + PATH, json=ask("a", temperature=0, max_tokens=3), timeout=60).json()
        assert answer["usage"]["completion_tokens"] == 3
        process.popen.send_signal(signal.SIGINT)
        assert process.end() == (0, "")


def test_twenty_clients_at_once_get_what_one_would(model):
    questions = [ask(f"question {number}", temperature=0, max_tokens=40, n=2) for number in range(20)]
    with serving(model, "--cache-mib=0", "--slots=8") as process:
        until_ready(process.url)
        alone = [httpx.post(process.url + PATH, json=each, timeout=60).json()["choices"] for each in questions]

        async def together():
            async with httpx.AsyncClient(timeout=60) as client:
                answers = [asyncio.ensure_future(client.post(process.url + PATH, json=each)) for each in questions]
                waits = []
                while not all(answer.done() for answer in answers):
                    started = time.perf_counter()
                    await client.get(f"{process.url}/health")
                    waits.append(time.perf_counter() - started)
                return [(await answer).json()["choices"] for answer in answers], waits

        found, waits = asyncio.run(together())
    assert found == alone
    assert sorted(waits)[len(waits) // 2] < 0.05


def test_clients_that_are_not_kind(model):
    body = json.dumps(ask("a", stream=True, max_tokens=3000)).encode()
    head = b"POST /v1/chat/completions HTTP/1.1\r\nhost: a\r\ncontent-type: application/json\r\n"
    with serving(model, "--slots=2", "--max-queue=4", "--timeout=20") as process:
        until_ready(process.url)
        host, port = process.url.removeprefix("http://").split(":")

        def connected():
            return socket.create_connection((host, int(port)))

        def active():
            return httpx.get(f"{process.url}/stats").json()["active_sessions"]

        unread = connected()  # asks, and reads nothing
        unread.sendall(head + b"content-length: %d\r\n\r\n" % len(body) + body)
        halved = connected()  # asks, and closes its half
        halved.sendall(head + b"content-length: %d\r\n\r\n" % len(body) + body)
        halved.shutdown(socket.SHUT_WR)
        short = connected()  # promises more than it sends
        short.sendall(head + b"content-length: 9999\r\n\r\n{")
        silent = connected()
        rude = connected()
        rude.sendall(b"\xff\xfe nonsense\r\n\r\n")
        assert b" 400 " in rude.recv(1000)
        gone = connected()
        gone.sendall(head + b"content-length: %d\r\n\r\n" % len(body) + body)
        gone.recv(1000)
        gone.close()
        assert httpx.post(process.url + PATH, json=ask("a", max_tokens=3), timeout=30).status_code == 200
        unread.close()
        for _ in range(300):
            if not active():
                break
            time.sleep(0.1)
        assert active() == 0
        for each in (halved, short, silent, rude):
            each.close()
        process.popen.send_signal(signal.SIGINT)
        assert process.end()[0] == 0
