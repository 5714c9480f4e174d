"""A server on this machine whose answers go wrong as a test wants."""

import threading
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


@dataclass
class Page:
    """A file; ``faults`` are taken one a request, and then the answers are right."""

    body: bytes = b""
    etag: str | None = '"one"'
    ranges: bool = True
    redirect: str | None = None
    linked: str | None = None  # what the hub says the sha256 of the file is, where it redirects
    faults: list = field(default_factory=list)


class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        server = self.server
        asked = {name: self.headers[name] for name in ("Range", "If-Range") if self.headers[name]}
        server.requests.append((self.path, asked))
        page = server.pages.get(self.path)
        if page is None:
            self.send_error(404)
            return
        if page.faults:
            page.faults.pop(0)(self, page)
            return
        if page.redirect:
            self.send_response(302)
            self.send_header("Location", page.redirect)
            self.send_header("Content-Length", "0")
            if page.linked:
                self.send_header("X-Linked-ETag", f'"{page.linked}"')
            self.end_headers()
            return
        self.answer(page)

    def answer(self, page, sent=None, length=None):
        """The file from where it was asked for, with another body or Content-Length where given."""
        start = self.start(page)
        body = page.body[start:]
        if start >= len(page.body) > 0:
            self.send_error(416)
            return
        self.send_response(206 if start else 200)
        if start:
            self.send_header("Content-Range", f"bytes {start}-{len(page.body) - 1}/{len(page.body)}")
        if page.etag:
            self.send_header("ETag", page.etag)
        self.send_header("Content-Length", str(len(body) if length is None else length))
        self.end_headers()
        self.wfile.write(body if sent is None else body[:sent])

    def start(self, page):
        condition = self.headers["If-Range"]
        if not page.ranges or not self.headers["Range"] or condition not in (None, page.etag):
            return 0
        return int(self.headers["Range"].removeprefix("bytes=").removesuffix("-"))

    def log_message(self, *args):
        pass


class Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.pages = {}
        self.requests = []
        self.released = threading.Event()  # ends the answers that hang

    @property
    def url(self):
        return f"http://127.0.0.1:{self.server_port}"


@contextmanager
def file_server():
    with Server() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield server
        finally:
            server.released.set()
            server.shutdown()
            thread.join()


# Faults


def error(code):
    return lambda handler, page: handler.send_error(code)


def cut(handler, page):
    """Half of what is asked for, and the connection closed."""
    handler.answer(page, sent=(len(page.body) - handler.start(page)) // 2)


def hang(handler, page):
    """Half of it, and then nothing."""
    cut_length = len(page.body)
    handler.answer(page, sent=cut_length // 2)
    handler.wfile.flush()
    handler.server.released.wait(5)


def silence(handler, page):
    handler.server.released.wait(5)


def short_length(handler, page):
    """All of it, but announced as less."""
    handler.answer(page, length=len(page.body) - 10)


def garbage(handler, page):
    handler.wfile.write(b"this is not HTTP\r\n\r\n")


def hang_up(handler, page):
    handler.connection.close()


def login_page(handler, page):
    """Another page, as networks show that want a log-in first."""
    handler.answer(Page(b"<html>please log in</html>", etag=None))
