"""gather: images from paths, folders, URLs and standard input; one that cannot be read costs the others nothing."""

import io
import os
import shutil
import socket
import ssl
import subprocess
import sys
import time
import tracemalloc
from types import SimpleNamespace

import numpy as np
import pytest
from mindspore.dataset import vision
from PIL import Image

from mindclf.inference import sources
from mindclf.inference.sources import gather, read_url
from mindclf.utils import http
from tests.support.web_server import PATIENCE

SECONDS = 0.4   # that the package waits, where a test wants it to give up


def encode(colour=(200, 30, 30), kind="PNG"):
    buffer = io.BytesIO()
    Image.new("RGB", (6, 5), colour).save(buffer, kind)
    return buffer.getvalue()


def noisy_jpeg():
    buffer = io.BytesIO()
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (64, 64, 3)).astype(np.uint8)).save(buffer, "JPEG")
    return buffer.getvalue()


def colour(image):
    """The one colour of an encoded image."""
    [colour] = np.unique(vision.Decode()(image).reshape(-1, 3), axis=0).tolist()
    return tuple(colour)


@pytest.fixture
def url(server):
    """The address of a web server on this machine, whose pages are named after what they do."""
    jpeg, elsewhere = noisy_jpeg(), f"http://127.0.0.2:{server.server_port}"
    chunk = b"400\r\n" + bytes(1024) + b"\r\n"
    for name, kind, body in (("good.png", "image/png", encode()), ("binary", "application/octet-stream", encode()),
                             ("html", "text/html; charset=utf-8", b"<html>no</html>"), ("text", "image/png", b"no image"),
                             ("kilobyte", "image/png", bytes(1024))):
        server.files[f"/{name}"], server.kinds[f"/{name}"] = body, kind
    server.ways = {
        "/untyped": lambda page: answer(page, body=encode()),
        "/short": lambda page: answer(page, f"Content-Length: {len(jpeg)}", body=jpeg[:1500]),
        "/agent": lambda page: answer(page, body=page.headers["User-Agent"].encode()),
        "/moved": lambda page: answer(page, "Location: /good.png", status="302 Found"),
        "/moved to a file": lambda page: answer(page, "Location: file:///etc/passwd", status="302 Found"),
        "/moved elsewhere": lambda page: answer(page, f"Location: {elsewhere}/good.png", status="302 Found"),
        "/round": lambda page: answer(page, "Location: /round", status="302 Found"),
        "/moved at length": lambda page: answer(page, "Location: /good.png", f"Content-Length: {10**15}", status="302 Found"),
        "/long": lambda page: answer(page, f"Content-Length: {10**15}", body=bytes(5000)),
        "/silent": lambda page: server.over.wait(PATIENCE),
        "/dripping body": lambda page: (answer(page), page.go_on(b"x", 0.05)),
        "/dripping head": lambda page: (page.wfile.write(b"HTTP/1.1 200 OK\r\nX: "), page.go_on(b"x", 0.05)),
        "/dripping status": lambda page: page.go_on(b"H", 0.05),
        "/continue": lambda page: page.go_on(b"HTTP/1.1 100 Continue\r\n\r\n", 0.001),
        "/endless": lambda page: (answer(page), page.go_on(bytes(2**16))),
        "/endless chunks": lambda page: (answer(page, "Transfer-Encoding: chunked"), page.go_on(chunk)),
        "/endless head": lambda page: page.go_on(b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 1000),
        "/endless line": lambda page: page.go_on(b"H" * 2**16),
        "/no HTTP": lambda page: page.wfile.write(b"220 mail.example ESMTP\r\n"),
    }
    server.ways = {name.replace(" ", "%20"): way for name, way in server.ways.items()}  # as a request has them
    return server.url


def answer(page, *headers, body=b"", status="200 OK"):
    """Sends an answer with just these headers."""
    page.wfile.write("\r\n".join([f"HTTP/1.1 {status}", *headers, "", ""]).encode() + body)


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


def test_each_image_of_a_folder_is_read_for_itself(tmp_path):
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
    assert "is not an image" in refusal(found[2][1], paths[2])
    assert colour(found[1][1]()) == colour(found[3][1]()) == (200, 30, 30)


def test_a_name_that_is_too_long_costs_the_others_nothing(tmp_path):
    (tmp_path / "a.png").write_bytes(encode())
    found = list(gather(["x" * 5000, str(tmp_path / "a.png")]))
    refusal(found[0][1], "x" * 5000)
    assert colour(found[1][1]()) == (200, 30, 30)


def test_a_truncated_jpeg_is_refused(tmp_path):
    """Here and not first in the pipeline, whose error would name no image and end the whole run."""
    (tmp_path / "half.jpg").write_bytes(noisy_jpeg()[:1500])
    [(name, read)] = gather([str(tmp_path / "half.jpg")])
    refusal(read, name)


def standard_input(monkeypatch, data):
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=io.BytesIO(data)))
    [(name, read)] = gather(["-"])
    assert name == "-"
    return read


def test_standard_input_that_is_closed_is_refused(monkeypatch):
    monkeypatch.setattr(sys, "stdin", None)
    [(_, read)] = gather(["-"])
    assert "is closed" in refusal(read, "standard input")


def test_standard_input_is_an_image(monkeypatch):
    assert colour(standard_input(monkeypatch, encode())()) == (200, 30, 30)


@pytest.mark.parametrize("data", [b"", b"text"])
def test_standard_input_without_an_image_is_refused(monkeypatch, data):
    assert "is not an image" in refusal(standard_input(monkeypatch, data), "standard input")


def test_standard_input_that_is_too_large_is_refused(monkeypatch):
    """And not cut off: what is left of a JPEG may look like a whole one."""
    monkeypatch.setattr(sources, "URL_BYTES", 1500)
    assert "larger" in refusal(standard_input(monkeypatch, noisy_jpeg()), "standard input")


@pytest.mark.parametrize("page", ["good.png", "binary", "untyped", "moved", "moved at length", "good.png?size=2"])
def test_an_image_from_a_url(url, page):
    [(name, read)] = gather([f"{url}/{page}"], allow_private=True)
    assert name == f"{url}/{page}"
    assert colour(read()) == (200, 30, 30)


def test_the_client_says_who_it_is(url):
    assert read_url(f"{url}/agent", allow_private=True) == b"mindclf"


@pytest.mark.parametrize(("page", "reason"), [
    ("html", "answers with text/html, not with an image"),
    ("text", "is not an image"),
    ("missing", "cannot be read: Not Found"),
    ("short", "cannot be read: IncompleteRead(1500 bytes read, "),
    ("long", "cannot be read: IncompleteRead(5000 bytes read, "),
    ("moved to a file", "cannot be read: 'file' is neither http nor https"),
    ("round", "cannot be read: redirected more than 5 times"),
    ("no HTTP", "cannot be read: "),
    ("endless head", "cannot be read: got more than 100 headers"),
    ("endless line", "cannot be read: "),
])
def test_a_url_without_an_image_is_refused(url, page, reason):
    [(name, read)] = gather([f"{url}/{page}"], allow_private=True)
    assert reason in refusal(read, name)


@pytest.mark.parametrize("bad", ["http://", "http://[", "http://127.0.0.1:99999/", "https://127.0.0.1:1/a.png", "http:///a.png",
                                 "http://user:word@127.0.0.1/", "http://a b/", "file:///etc/passwd", "ftp://127.0.0.1/a.png",
                                 "FILE://localhost/etc/passwd", "gopher://127.0.0.1:1/"])
def test_a_url_that_is_none_is_refused(bad):
    [(name, read)] = gather([bad], allow_private=True)
    assert "cannot be read: " in refusal(read, name)


def test_a_url_is_read_up_to_a_limit(url, monkeypatch):
    monkeypatch.setattr(sources, "URL_BYTES", 1024)
    assert len(read_url(f"{url}/kilobyte", allow_private=True)) == 1024
    monkeypatch.setattr(sources, "URL_BYTES", 1023)
    assert "is larger than" in refusal(lambda: read_url(f"{url}/kilobyte", allow_private=True), f"{url}/kilobyte")


@pytest.mark.parametrize("page", ["endless", "endless chunks"])
def test_an_endless_answer_costs_little_memory_and_time(url, monkeypatch, page):
    monkeypatch.setattr(sources, "URL_BYTES", 2**20)
    start = time.monotonic()
    tracemalloc.start()
    assert "is larger than" in refusal(lambda: read_url(f"{url}/{page}", allow_private=True), f"{url}/{page}")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 8 * 2**20
    assert time.monotonic() - start < PATIENCE / 2


@pytest.mark.parametrize("page", ["silent", "dripping body", "dripping head", "dripping status", "continue"])
def test_a_server_that_does_not_end_is_given_up(url, monkeypatch, page):
    monkeypatch.setattr(sources, "URL_SECONDS", SECONDS)
    start = time.monotonic()
    assert "not complete within 0.4 s" in refusal(lambda: read_url(f"{url}/{page}", allow_private=True), f"{url}/{page}")
    assert SECONDS <= time.monotonic() - start < 5 * SECONDS


def test_a_handshake_that_does_not_end_is_given_up(monkeypatch):
    """TLS to a port that takes the connection and says nothing."""
    monkeypatch.setattr(sources, "URL_SECONDS", SECONDS)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        address = f"https://127.0.0.1:{silent.getsockname()[1]}/a.png"
        start = time.monotonic()
        assert "not complete within 0.4 s" in refusal(lambda: read_url(address, allow_private=True), address)
        assert SECONDS <= time.monotonic() - start < 5 * SECONDS


@pytest.fixture
def secure(server, tmp_path):
    """The same server over TLS, and the path of its certificate, which nobody trusts unless told."""
    if shutil.which("openssl") is None:
        pytest.skip("needs the command openssl, which makes a certificate")
    certificate = tmp_path / "certificate.pem"
    subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=127.0.0.1", "-addext",
                    "subjectAltName=IP:127.0.0.1", "-keyout", tmp_path / "key.pem", "-out", certificate],
                   check=True, capture_output=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, tmp_path / "key.pem")
    server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
    server.files["/good.png"] = encode()
    server.ways["/dripping"] = lambda page: (answer(page), page.go_on(b"x", 0.05))
    return f"https://127.0.0.1:{server.server_port}", certificate


def test_https_is_read_from_a_server_that_is_trusted_and_from_no_other(secure, monkeypatch):
    url, certificate = secure
    page = f"{url}/good.png"
    assert "CERTIFICATE_VERIFY_FAILED" in refusal(lambda: read_url(page, allow_private=True), page)
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    assert read_url(page, allow_private=True) == encode()
    assert "no public address" in refusal(lambda: read_url(page), page)
    monkeypatch.setattr(sources, "URL_SECONDS", SECONDS)
    page, start = f"{url}/dripping", time.monotonic()
    assert "not complete within 0.4 s" in refusal(lambda: read_url(page, allow_private=True), page)
    assert SECONDS <= time.monotonic() - start < 5 * SECONDS


def test_a_name_server_that_does_not_answer_is_given_up(monkeypatch):
    monkeypatch.setattr(sources, "URL_SECONDS", SECONDS)
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: time.sleep(3 * SECONDS))
    assert "not complete within 0.4 s" in refusal(lambda: read_url("http://slow.example/"), "http://slow.example/")


@pytest.mark.parametrize("address", [
    "127.0.0.1", "127.9.9.9", "0.0.0.0", "10.0.0.1", "172.16.0.1", "192.168.1.1", "169.254.169.254", "100.64.0.1", "198.18.0.1",
    "224.0.1.1", "240.0.0.1", "255.255.255.255", "::1", "::", "fe80::1", "fe80::1%eth0", "fc00::1", "fec0::1", "ff0e::1",
    "::ffff:127.0.0.1", "::ffff:10.0.0.1", "2002:7f00:1::", "2002:a00:1::", "64:ff9b::7f00:1", "64:ff9b::a00:1", "2001:db8::1"])
def test_addresses_of_this_machine_and_its_network_are_not_public(address):
    assert not http.is_public(address)


@pytest.mark.parametrize("address", ["93.184.216.34", "1.1.1.1", "2606:4700:4700::1111", "64:ff9b::101:101", "2002:101:101::1"])
def test_addresses_of_the_internet_are_public(address):
    assert http.is_public(address)


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "2130706433", "0x7f.1", "[::1]", "0.0.0.0", "10.0.0.1",
                                  "169.254.169.254", "[::ffff:127.0.0.1]", "[fe80::1]"])
def test_a_private_address_is_refused_however_it_is_written(server, host):
    """And nothing is sent there."""
    address = f"http://{host}:{server.server_port}/latest/meta-data"
    assert "is no public address; --allow-private reads it" in refusal(lambda: read_url(address), address)
    assert server.requests == []


@pytest.fixture
def public_here(monkeypatch):
    """As if 127.0.0.1 were a public address, and no other were."""
    monkeypatch.setattr(http, "is_public", lambda address: address == "127.0.0.1")


def test_a_redirect_to_a_private_address_is_refused(url, public_here):
    assert colour(gather_one(f"{url}/moved")) == (200, 30, 30)
    page = f"{url}/moved elsewhere"
    assert "127.0.0.2 is no public address" in refusal(lambda: read_url(page), page)


def gather_one(source):
    [(_, read)] = gather([source])
    return read()


def answering(*lists):
    """A getaddrinfo that answers with these lists of addresses, one after another, and then with none."""
    answers = iter(lists)
    return lambda host, port, **_: [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port)) for address in next(answers)]


def test_the_connection_goes_to_the_address_that_was_checked(url, server, public_here, monkeypatch):
    """A name server that changes its mind between the check and the connection is asked once only."""
    monkeypatch.setattr(socket, "getaddrinfo", answering(["127.0.0.1"], ["127.0.0.2"]))
    image = read_url(f"http://rebound.example:{server.server_port}/good.png")
    assert image == encode()
    page = f"http://rebound.example:{server.server_port}/good.png"
    assert "rebound.example, 127.0.0.2, is no public address" in refusal(lambda: read_url(page), page)


def test_a_name_with_one_private_address_among_others_is_refused(server, public_here, monkeypatch):
    monkeypatch.setattr(socket, "getaddrinfo", answering(["127.0.0.1", "127.0.0.2"]))
    page = f"http://mixed.example:{server.server_port}/good.png"
    assert "127.0.0.2, is no public address" in refusal(lambda: read_url(page), page)
    assert server.requests == []


def test_no_proxy_is_used_and_an_error_says_so(url, server, public_here, monkeypatch):
    monkeypatch.setenv("http_proxy", server.url)
    page = "http://10.0.0.1/good.png"
    message = refusal(lambda: read_url(page), page)
    assert message.endswith(f"no proxy is used: curl -s '{page}' | mindclf predict -")
    assert server.requests == []


def test_links_and_pipes_in_a_folder_are_named_and_not_followed(tmp_path):
    (tmp_path / "in" / "a").mkdir(parents=True)
    (tmp_path / "in" / "a" / "good.png").write_bytes(encode())
    (tmp_path / "in" / "a" / "up").symlink_to(tmp_path)
    (tmp_path / "in" / "loop.png").symlink_to("loop.png")
    (tmp_path / "in" / "nowhere.png").symlink_to("missing.png")
    (tmp_path / "in" / "z.png").symlink_to("a/good.png")
    os.mkfifo(tmp_path / "in" / "pipe.png")
    found = {name.removeprefix(f"{tmp_path}/in/"): read for name, read in gather([str(tmp_path / "in")])}
    assert list(found) == ["a/good.png", "a/up", "loop.png", "nowhere.png", "pipe.png", "z.png"]
    for name, reason in (("a/up", "Is a directory"), ("loop.png", "Too many levels of symbolic links"),
                         ("nowhere.png", "No such file"), ("pipe.png", "it is a pipe or a device, not a file")):
        assert reason in refusal(found[name], tmp_path / "in" / name)
    assert colour(found["a/good.png"]()) == colour(found["z.png"]()) == (200, 30, 30)


def test_a_device_is_not_read():
    [(_, read)] = gather(["/dev/zero"])
    assert refusal(read, "/dev/zero") == "/dev/zero cannot be read: it is a pipe or a device, not a file"
