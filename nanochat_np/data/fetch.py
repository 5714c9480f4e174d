"""One file over HTTP: gone on with where it was cut, verified, whole or not there."""

import hashlib
import http.client
import os
import re
import threading
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from http.client import HTTPMessage, HTTPResponse
from pathlib import Path
from typing import IO

from nanochat_np import __version__
from nanochat_np.errors import DataError

BLOCK_BYTES = 2**20
PART = ".part"  # ends the name of a file that has come in part
PASSING = (408, 425, 429)  # answers of the 400s that may be others the next time


@dataclass(frozen=True)
class Patience:
    """How often to try, how long to wait for an answer or more of it, and before the second attempt (then doubled)."""

    attempts: int = 5
    timeout_seconds: float = 30.0
    wait_seconds: float = 2.0


class Stopped(Exception):
    """The download was told to stop."""


class _Failed(Exception):
    """An attempt has failed, another may do better."""


def fetch(url: str, path: Path, check: Callable[[Path], None], patience: Patience, stop: threading.Event) -> None:
    """Download ``url`` to ``path``, which is then whole and verified: its size, its sha256 where the server is the
    Hugging Face hub, which tells it, and by ``check``, which raises DataError for a bad file.

    What has come is kept beside ``path`` and gone on with, by another attempt or another process, where the server can
    and has the same file still. Raises DataError after the last attempt or where the server refuses for good, Stopped
    when ``stop`` is set, OSError where the file cannot be written.
    """
    partial = _Partial(path)
    for attempt in range(1, patience.attempts + 1):
        try:
            _attempt(url, partial, check, patience.timeout_seconds, stop)
        except _Failed as failed:
            if attempt == patience.attempts:
                raise DataError(
                    f"{url}: cannot be fetched in {attempt} attempts: {failed}: try again later, what has come is kept"
                ) from None
        else:
            os.replace(partial.path, path)
            partial.discard()
            return
        if stop.wait(patience.wait_seconds * 2 ** (attempt - 1)):
            raise Stopped


class _Partial:
    """What has come of a file so far, and which version of it the server said it was."""

    def __init__(self, path: Path) -> None:
        self.path = path.with_name(f".{path.name}{PART}")
        self._version_path = path.with_name(f".{path.name}.version")

    def version(self) -> str | None:
        """None where there is nothing to go on with."""
        if not self.path.exists() or not self._version_path.exists():
            return None
        return self._version_path.read_text(encoding="utf-8")

    def begin(self, version: str | None) -> None:
        self.discard()
        self.path.touch()
        if version:
            self._version_path.write_text(version, encoding="utf-8")

    def size(self) -> int:
        return self.path.stat().st_size

    def discard(self) -> None:
        self.path.unlink(missing_ok=True)
        self._version_path.unlink(missing_ok=True)


class _Redirects(urllib.request.HTTPRedirectHandler):
    """Follows redirects, and keeps what the Hugging Face hub says of the file before it leads to a host of files.

    X-Linked-ETag is the sha256 of the file.  (The ETag of that host can look like one, and is not.)
    """

    def __init__(self, version: str | None) -> None:
        self.sha256: str | None = None
        self._version = version

    def redirect_request(
        self, req: urllib.request.Request, fp: IO[bytes], code: int, msg: str, headers: HTTPMessage, newurl: str
    ) -> urllib.request.Request | None:
        request = super().redirect_request(req, fp, code, msg, headers, newurl)
        linked = re.fullmatch(r'"?([0-9a-f]{64})"?', headers.get("X-Linked-ETag", ""))
        if linked and request:
            self.sha256 = linked[1]
            # Whether it is the same file is now known, and the next host may know it by another tag.
            request.remove_header("If-range")
            if self.sha256 != self._version:
                request.remove_header("Range")
        return request


def _attempt(url: str, partial: _Partial, check: Callable[[Path], None], timeout: float, stop: threading.Event) -> None:
    """Bring the partial file to its end.  Raises _Failed; then it is kept if going on with it may help."""
    version = partial.version()
    request = urllib.request.Request(url, headers={"User-Agent": f"nanochat-np/{__version__}"})
    if version:
        request.add_header("Range", f"bytes={partial.size()}-")
        request.add_header("If-Range", version)
    redirects = _Redirects(version)
    with _answer(request, redirects, timeout, partial) as response:
        total = _total(response, partial)
        if response.status != 206:
            partial.begin(redirects.sha256 or _validator(response.headers))
        with open(partial.path, "ab") as file:
            for block in _blocks(response):
                file.write(block)
                if stop.is_set():
                    raise Stopped
            file.flush()
            os.fsync(file.fileno())
    size = partial.size()
    if total is not None and size < total:
        raise _Failed(f"the connection was cut after {size:,} of {total:,} bytes")
    try:
        if total is not None and size > total:
            raise DataError(f"{size:,} bytes came of {total:,}")
        _check_sha256(partial.path, redirects.sha256)
        check(partial.path)
    except DataError as error:
        partial.discard()
        raise _Failed(f"what came is damaged: {error}") from None


def _answer(request: urllib.request.Request, redirects: _Redirects, timeout: float, partial: _Partial) -> HTTPResponse:
    """The server's answer.  Raises _Failed, or DataError for one that will not change."""
    try:
        response: HTTPResponse = urllib.request.build_opener(redirects).open(request, timeout=timeout)
    except urllib.error.HTTPError as error:
        error.close()
        told = f"the server answered {error.code} {error.reason}"
        if 400 <= error.code < 500 and error.code not in (*PASSING, 416):
            raise DataError(f"{request.full_url}: {told}: check the address") from None
        if error.code == 416:  # of what was asked for there is nothing: what came is no beginning of this file
            partial.discard()
        raise _Failed(told) from None
    except (OSError, http.client.HTTPException) as error:
        raise _Failed(_reason(error)) from None
    return response


def _blocks(response: HTTPResponse) -> Iterator[bytes]:
    while True:
        try:
            block = response.read(BLOCK_BYTES)
        except (OSError, http.client.HTTPException) as error:
            raise _Failed(_reason(error)) from None
        if not block:
            return
        yield block


def _total(response: HTTPResponse, partial: _Partial) -> int | None:
    """Bytes of the whole file, where the server tells."""
    if response.status != 206:
        return response.length
    sent = re.fullmatch(r"bytes (\d+)-\d+/(\d+|\*)", response.headers.get("Content-Range", ""))
    if not sent or int(sent[1]) != partial.size():
        partial.discard()
        raise _Failed("the server sent another part of the file than was asked for")
    return None if sent[2] == "*" else int(sent[2])


def _validator(headers: HTTPMessage) -> str | None:
    """What names this version of the file exactly: a strong ETag, or else the time of its last change."""
    tag = headers.get("ETag", "")
    return tag if tag.startswith('"') else headers.get("Last-Modified")


def _check_sha256(path: Path, expected: str | None) -> None:
    if expected is None:
        return
    with open(path, "rb") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
    if found != expected:
        raise DataError(f"its sha256 is {found}, and {expected} was announced")


def _reason(error: Exception) -> str:
    cause = error.reason if isinstance(error, urllib.error.URLError) else error
    return " ".join(str(cause).split()) or type(cause).__name__
