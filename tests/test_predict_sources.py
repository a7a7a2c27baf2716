"""gather: pictures from paths, folders, URLs and standard input; one that cannot be read costs the others nothing."""

import contextlib
import http.server
import io
import sys
import threading
import time
from types import SimpleNamespace

import numpy as np
import pytest
from mindspore.dataset import vision
from PIL import Image

from mindclf import predict
from mindclf.predict import gather, read_url

SECONDS = 0.4   # that the package waits, where a test wants it to give up
PATIENCE = 100  # pieces of 0.05 s that the endless answer has, so that a test that fails ends too


def encode(colour=(200, 30, 30), kind="PNG"):
    buffer = io.BytesIO()
    Image.new("RGB", (6, 5), colour).save(buffer, kind)
    return buffer.getvalue()


def noisy_jpeg():
    buffer = io.BytesIO()
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (64, 64, 3)).astype(np.uint8)).save(buffer, "JPEG")
    return buffer.getvalue()


def colour(picture):
    """The one colour of an encoded picture."""
    [colour] = np.unique(vision.Decode()(picture).reshape(-1, 3), axis=0).tolist()
    return tuple(colour)


class _Handler(http.server.BaseHTTPRequestHandler):
    """Each path is a way to answer."""

    def do_GET(self):
        name = self.path.strip("/").split(".")[0]
        answers = {
            "good": lambda: self.answer("image/png", encode()),
            "binary": lambda: self.answer("application/octet-stream", encode()),
            "html": lambda: self.answer("text/html; charset=utf-8", b"<html>no</html>"),
            "text": lambda: self.answer("image/png", b"no picture"),
            "untyped": lambda: self.answer(None, encode()),
            "kilobyte": lambda: self.answer("image/png", bytes(1024)),
            "short": lambda: self.answer("image/jpeg", noisy_jpeg()[:1500], length=len(noisy_jpeg())),
            "agent": lambda: self.answer("image/png", self.headers["User-Agent"].encode()),
            "moved": self.move,
            "endless": self.trickle,
            "silent": lambda: self.server.over.wait(PATIENCE * 0.05),
        }
        answers.get(name, lambda: self.send_error(404))()

    def answer(self, kind, body, length=None):
        self.send_response(200)
        if kind:
            self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body) if length is None else length))
        self.end_headers()
        self.wfile.write(body)

    def move(self):
        self.send_response(302)
        self.send_header("Location", "/good.png")
        self.end_headers()

    def trickle(self):
        self.send_response(200)
        self.send_header("Content-Type", "image/png")
        self.end_headers()
        for _ in range(PATIENCE):
            self.wfile.write(b"x")
            if self.server.over.wait(0.05):
                break

    def handle(self):
        with contextlib.suppress(ConnectionError):  # the package hung up, as it should
            super().handle()

    def log_message(self, *args):
        pass


@pytest.fixture
def url(monkeypatch):
    """The address of a web server on this machine."""
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Handler) as server:
        server.over = threading.Event()
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.over.set()
        server.shutdown()


def refusal(read, name):
    """The message with which `read` refuses: one line that begins with `name`."""
    with pytest.raises(ValueError) as raised:
        read()
    assert str(raised.value).startswith(f"{name} ")
    assert "\n" not in str(raised.value)
    return str(raised.value)


def test_a_path_is_read_when_asked(tmp_path):
    [(name, read)] = gather([str(tmp_path / "a.png")])
    (tmp_path / "a.png").write_bytes(encode())
    assert name == str(tmp_path / "a.png")
    assert colour(read()) == (200, 30, 30)


def test_a_folder_is_every_file_below_it_in_order(tmp_path):
    for name in ("b.png", "a/2.png", "a/10.png", "c/d/e.gif", ".hidden.png"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(encode())
    found = [name for name, _ in gather([str(tmp_path)])]
    assert found == [str(tmp_path / name) for name in ("a/10.png", "a/2.png", "b.png", "c/d/e.gif")]


def test_each_picture_of_a_folder_is_read_for_itself(tmp_path):
    colours = [(10, 0, 0), (0, 20, 0), (0, 0, 30)]
    for index, rgb in enumerate(colours):
        (tmp_path / f"{index}.png").write_bytes(encode(rgb))
    assert [colour(read()) for _, read in list(gather([str(tmp_path)]))] == colours


def test_an_empty_folder_is_refused(tmp_path):
    [(name, read)] = gather([str(tmp_path)])
    assert name == str(tmp_path)
    assert "is a folder without files" in refusal(read, tmp_path)


def test_a_missing_file_costs_the_others_nothing(tmp_path):
    (tmp_path / "a.png").write_bytes(encode())
    (tmp_path / "b.jpg").write_bytes(b"text")
    paths = [str(tmp_path / name) for name in ("missing.png", "a.png", "b.jpg", "a.png")]
    found = list(gather(paths))
    assert [name for name, _ in found] == paths
    assert "No such file" in refusal(found[0][1], paths[0])
    assert "is not a picture" in refusal(found[2][1], paths[2])
    assert colour(found[1][1]()) == colour(found[3][1]()) == (200, 30, 30)


def test_a_name_that_is_too_long_costs_the_others_nothing(tmp_path):
    (tmp_path / "a.png").write_bytes(encode())
    found = list(gather(["x" * 5000, str(tmp_path / "a.png")]))
    refusal(found[0][1], "x" * 5000)
    assert colour(found[1][1]()) == (200, 30, 30)


def test_a_truncated_jpeg_is_refused(tmp_path):
    """Here and not first in the pipeline, whose error would name no picture and end the whole run."""
    (tmp_path / "half.jpg").write_bytes(noisy_jpeg()[:1500])
    [(name, read)] = gather([str(tmp_path / "half.jpg")])
    refusal(read, name)


def standard_input(monkeypatch, data):
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=io.BytesIO(data)))
    [(name, read)] = gather(["-"])
    assert name == "-"
    return read


def test_standard_input_is_a_picture(monkeypatch):
    assert colour(standard_input(monkeypatch, encode())()) == (200, 30, 30)


@pytest.mark.parametrize("data", [b"", b"text"])
def test_standard_input_without_a_picture_is_refused(monkeypatch, data):
    assert "is not a picture" in refusal(standard_input(monkeypatch, data), "standard input")


def test_standard_input_that_is_too_large_is_refused(monkeypatch):
    """And not cut off: what is left of a JPEG may look like a whole one."""
    monkeypatch.setattr(predict, "URL_BYTES", 1500)
    assert "larger" in refusal(standard_input(monkeypatch, noisy_jpeg()), "standard input")


@pytest.mark.parametrize("page", ["good.png", "binary", "untyped", "moved", "good.png?size=2"])
def test_a_picture_from_a_url(url, page):
    [(name, read)] = gather([f"{url}/{page}"])
    assert name == f"{url}/{page}"
    assert colour(read()) == (200, 30, 30)


def test_the_client_says_who_it_is(url):
    assert read_url(f"{url}/agent") == b"mindclf"


@pytest.mark.parametrize(("page", "reason"), [
    ("html", "answers with text/html, not with a picture"),
    ("text", "is not a picture"),
    ("missing", "cannot be read: Not Found"),
    ("short", ""),
])
def test_a_url_without_a_picture_is_refused(url, page, reason):
    [(name, read)] = gather([f"{url}/{page}"])
    assert reason in refusal(read, name)


@pytest.mark.parametrize("bad", ["http://", "http://[", "http://127.0.0.1:99999/", "https://127.0.0.1:1/a.png"])
def test_a_url_that_is_none_is_refused(bad, monkeypatch):
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    [(name, read)] = gather([bad])
    assert "cannot be read: " in refusal(read, name)


def test_a_url_is_read_up_to_a_limit(url, monkeypatch):
    monkeypatch.setattr(predict, "URL_BYTES", 1024)
    assert len(read_url(f"{url}/kilobyte")) == 1024
    monkeypatch.setattr(predict, "URL_BYTES", 1023)
    assert "is larger than" in refusal(lambda: read_url(f"{url}/kilobyte"), f"{url}/kilobyte")


@pytest.mark.parametrize("page", ["silent", "endless"])
def test_a_server_that_does_not_end_is_given_up(url, monkeypatch, page):
    monkeypatch.setattr(predict, "URL_SECONDS", SECONDS)
    start = time.monotonic()
    refusal(lambda: read_url(f"{url}/{page}"), f"{url}/{page}")
    assert SECONDS <= time.monotonic() - start < 5 * SECONDS
