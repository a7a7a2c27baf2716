"""A web server on this machine, and an address where none listens: the tests of downloads need no network."""

import contextlib
import http.server
import socket
import threading

import pytest

PATIENCE = 4  # seconds that the server stays silent in the middle of an answer, at most


class Server(http.server.ThreadingHTTPServer):
    """Answers with `files`, path -> bytes; `requests` lists (path, Range header) of what was asked for."""

    def __init__(self):
        super().__init__(("127.0.0.1", 0), _Handler)
        self.url = f"http://127.0.0.1:{self.server_port}"
        self.files, self.requests = {}, []
        self.resumes = True           # answers a Range header with the part that it asks for
        self.breaks_off_after = None  # bytes of an answer, before the connection is closed
        self.falls_silent_after = None
        self.over = threading.Event()


class _Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        server, asked = self.server, self.headers.get("Range")
        server.requests.append((self.path, asked))
        if self.path not in server.files:
            return self.send_error(404)
        body = server.files[self.path]
        if asked and server.resumes:
            start = int(asked.removeprefix("bytes=").removesuffix("-"))
            self.send_response(206)
            self.send_header("Content-Range", f"bytes {start}-{len(body) - 1}/{len(body)}")
            body = body[start:]
        else:
            self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if server.falls_silent_after is not None:
            self.wfile.write(body[:server.falls_silent_after])
            self.wfile.flush()
            return server.over.wait(PATIENCE)
        self.wfile.write(body[:server.breaks_off_after])

    def log_message(self, *args):
        pass

    def handle(self):
        with contextlib.suppress(ConnectionError):  # the package asks once only to hear how large the file is, and hangs up
            super().handle()


@pytest.fixture
def server(monkeypatch):
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    with Server() as running:
        threading.Thread(target=running.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        yield running
        running.over.set()
        running.shutdown()


@pytest.fixture
def closed_url(monkeypatch):
    """The URL of a port where nothing listens."""
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    with socket.socket() as probe:  # bound without listening: refuses connections, and nobody else gets the port
        probe.bind(("127.0.0.1", 0))
        yield f"http://127.0.0.1:{probe.getsockname()[1]}"
