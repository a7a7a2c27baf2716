"""A web server on this machine, well-behaved or not: the tests of downloads and URLs need no network."""

import contextlib
import http.server
import ssl
import threading
import time

PATIENCE = 4  # seconds that the server stays silent or goes on in the middle of an answer, at most


class Server(http.server.ThreadingHTTPServer):
    """Answers with `files`, path -> bytes; `requests` lists (path, Range header) of what was asked for.

    `certificate` is a PEM file with a key and a certificate, for https. `kinds` has their Content-Types, "image/png" unless told;
    `ways`, path -> function of the handler, answers in other ways.
    """

    daemon_threads = True

    def __init__(self, certificate=None):
        super().__init__(("127.0.0.1", 0), _Handler)
        self.url = f"http{'s' if certificate else ''}://127.0.0.1:{self.server_port}"
        if certificate:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(certificate)
            self.socket = context.wrap_socket(self.socket, server_side=True)
        self.files, self.kinds, self.ways, self.requests = {}, {}, {}, []
        self.resumes = True           # answers a Range header with the part that it asks for
        self.breaks_off_after = None  # bytes of an answer, before the connection is closed
        self.falls_silent_after = None
        self.over = threading.Event()


class _Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        server, asked = self.server, self.headers.get("Range")
        server.requests.append((self.path, asked))
        path = self.path.partition("?")[0]
        if path in server.ways:
            return server.ways[path](self)
        if path not in server.files:
            return self.send_error(404)
        body = server.files[path]
        if asked and server.resumes:
            start = int(asked.removeprefix("bytes=").removesuffix("-"))
            self.send_response(206)
            self.send_header("Content-Range", f"bytes {start}-{len(body) - 1}/{len(body)}")
            body = body[start:]
        else:
            self.send_response(200)
        self.send_header("Content-Type", server.kinds.get(path, "image/png"))
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
        # The package asks once only to hear how large the file is, and hangs up; one does not trust the certificate.
        with contextlib.suppress(ConnectionError, ssl.SSLError):
            super().handle()

    def redirect(self, url):
        """Answers that the file is at `url`."""
        self.send_response(302)
        self.send_header("Location", url)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def send(self, body):
        """Answers with `body`."""
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def go_on(self, piece, pause=0.0):
        """Sends `piece` again and again, until the client hangs up or the test is over, or for PATIENCE seconds."""
        end = time.monotonic() + PATIENCE
        while time.monotonic() < end and not self.server.over.wait(pause):
            self.wfile.write(piece)


@contextlib.contextmanager
def running_server(certificate=None):
    """A `Server` that answers while the block runs."""
    with Server(certificate) as running:
        threading.Thread(target=running.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        yield running
        running.over.set()
        running.shutdown()
