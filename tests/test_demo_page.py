"""The page of `mindclf demo`, as people see it in a browser; and that nothing of it leaves this machine."""

import base64
import csv
import http.client
import io
import os
import re
import shutil
import signal
import socket
import struct
import subprocess
import sys
import threading
import webbrowser
import zlib
from importlib.util import find_spec
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

import mindclf
from mindclf.card import Card
from mindclf.checkpoint import GARBAGE_SORTER, CheckpointFile, save_checkpoint
from mindclf.cli import main
from mindclf.demo.answers import Sorter, answer
from mindclf.demo.examples import EXAMPLES, example_images
from mindclf.demo.page import uploaded
from mindclf.demo.server import UPLOAD_BYTES, open_in_browser
from mindclf.drawings.generate import draw_image
from mindclf.explain import explain
from mindclf.labels import class_labels
from mindclf.nets import create_net
from tests.conftest import TINY_NET
from tests.support.browser import Browser

NEEDS_GRADIO = "needs Gradio: pip install gradio"
CHROMIUM = shutil.which("chromium")
# `mindclf demo`, which says on standard error whom Python talks to.
WATCHED = """
import sys
from mindclf.cli import main

def watch(event, arguments):
    if event in ("socket.connect", "socket.sendto", "socket.getaddrinfo"):
        print("asked outside:", event, arguments, file=sys.stderr)

sys.addaudithook(watch)
sys.exit(main(["demo", *sys.argv[1:]]))
"""
PROXIES = {"ALL_PROXY": "socks5://127.0.0.1:9", "https_proxy": "socks://127.0.0.1:9"}  # of kinds that httpx does not know
FAKE_CAMERA = ("--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream")  # which shows a green moving picture
INPUT = "input[type=file]"
ANSWERED = "document.querySelector('.answer .name, .answer.refused')"


def chunk(name, data):
    return struct.pack(">L", len(data)) + name + data + struct.pack(">L", zlib.crc32(name + data))


BOMB = (b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">LLBBBBB", 65_535, 65_535, 8, 2, 0, 0, 0))
        + chunk(b"IDAT", zlib.compress(bytes(1000))) + chunk(b"IEND", b""))


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    """`mindclf demo` in a process of its own: its `address`, its `host` and `port`, and `end()` -> what is left of it."""
    if find_spec("gradio") is None:
        pytest.skip(NEEDS_GRADIO)
    temporary = tmp_path_factory.mktemp("temporary")
    process = subprocess.Popen(
        [sys.executable, "-c", WATCHED, "--port", "0", "--no-browser"], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        encoding="utf-8",
        env={**os.environ, **PROXIES, "TMPDIR": str(temporary), "PYTHONPATH": str(Path(mindclf.__file__).parents[1])})
    timer = threading.Timer(180, process.kill)
    timer.start()
    line = process.stdout.readline()
    timer.cancel()
    if not line:
        pytest.fail(process.stderr.read())
    address = re.match(r"http://127\.0\.0\.1:(\d+)", line)
    ended = []

    def end():
        if not ended:
            process.send_signal(signal.SIGINT)
            output, errors = process.communicate(timeout=60)
            ended.append(SimpleNamespace(status=process.returncode, output=output, errors=errors,
                                         files=list(temporary.rglob("*"))))
        return ended[0]

    yield SimpleNamespace(address=address[0], port=int(address[1]), temporary=temporary, end=end)
    process.kill()
    process.wait()


@pytest.fixture(scope="module")
def browser(served, tmp_path_factory):
    if CHROMIUM is None:
        pytest.skip("needs Debian's Chromium: apt-get install chromium")
    browser = Browser(CHROMIUM, tmp_path_factory.mktemp("chromium"), flags=FAKE_CAMERA)
    yield browser
    browser.close()


@pytest.fixture
def opened(served, browser):
    """The browser, with the page open and whole."""
    browser.open(served.address)
    browser.wait_for(f"document.querySelector('{INPUT}') && document.querySelector('.answer.empty')")
    return browser


@pytest.fixture(scope="module")
def tablets(tmp_path_factory):
    path = tmp_path_factory.mktemp("images") / "tablets.jpg"
    draw_image("Tablet capsules", np.random.default_rng(14), 480).save(path)
    return path


def test_the_page_says_what_it_sees_and_where(opened, tablets, tmp_path):
    """MINDCLF_SCREENSHOT names where the image of the page goes: that is how docs/demo.png is made."""
    expected = explain(GARBAGE_SORTER, tablets)
    opened.choose_file(INPUT, tablets)
    opened.wait_for(ANSWERED)
    assert expected.prediction.name == "Tablet capsules"  # or the image proves little
    assert opened.text(".answer .bin") == "Hazardous waste, red bin 有害垃圾，红色桶"
    assert opened.script("getComputedStyle(document.querySelector('.answer .bin')).backgroundColor") == "rgb(184, 38, 28)"
    assert opened.text(".answer .name").split("\n") == ["Tablet capsules", "药片胶囊"]
    rows = opened.script("[...document.querySelectorAll('.answer .prediction')].map(row => row.innerText.split('\\n'))")
    assert rows == [[f"{each.name} {each.chinese}", f"{each.probability:.1%}"] for each in expected.predictions]
    opened.wait_for("document.querySelector('.answer img').complete")
    assert opened.script("document.querySelector('.answer img').naturalWidth") == 480
    opened.wait_for("document.querySelectorAll('#examples img').length == 8")
    opened.wait_for("[...document.querySelectorAll(':has(.answer)')].every(part => getComputedStyle(part).opacity == 1)")
    wanted = os.environ.get("MINDCLF_SCREENSHOT")
    screenshot = Path(wanted or tmp_path / "page.png")
    opened.screenshot(screenshot)
    image = Image.open(screenshot).convert("RGB")
    box = opened.script("(box => [box.right - 9, box.top + 9])(document.querySelector('.answer .bin').getBoundingClientRect())")
    assert len(image.getcolors(2**24)) > 1000 and image.getpixel(tuple(map(round, box))) == (184, 38, 28)
    if wanted:
        image.quantize(palette=image.quantize(256, Image.Quantize.MAXCOVERAGE)).save(screenshot, optimize=True)

    opened.resize(390, 844, mobile=True)
    try:
        opened.wait_for("innerWidth == 390 && document.documentElement.scrollWidth <= 390")
        parts = "['.image-container', '.answer', '#examples']"
        tops = opened.script(f"{parts}.map(part => document.querySelector(part).getBoundingClientRect().top)")
        assert tops == sorted(tops), "on a phone the answer comes before the examples"
    finally:
        opened.resize(1280, 900)


def test_an_example_is_answered_by_a_click(opened):
    opened.wait_for("document.querySelector('#examples button img')")
    opened.script("document.querySelector('#examples button:has(img)').click()")
    opened.wait_for(ANSWERED)
    assert opened.text(".answer .name").split() == ["Broom", "扫把"]
    assert opened.text(".answer .bin") == "Residual waste, black bin 干垃圾，黑色桶"


def test_the_heatmap_of_another_class_can_be_chosen(opened, tablets):
    expected = explain(GARBAGE_SORTER, tablets, "Battery")
    opened.choose_file(INPUT, tablets)
    opened.wait_for(ANSWERED)
    opened.script("document.querySelector('#target input').focus()")
    opened.wait_for("document.querySelector('ul[role=listbox] li[aria-label^=Battery]')")
    opened.script("document.querySelector('ul[role=listbox] li[aria-label^=Battery]')"
                  ".dispatchEvent(new MouseEvent('mousedown', {bubbles: true}))")
    opened.wait_for("document.querySelector('.answer img')?.alt == 'heatmap of Battery'")
    assert f"Battery, {expected.prediction.probability:.1%}" in opened.text(".answer figcaption")
    assert opened.text(".answer .name").split("\n") == ["Tablet capsules", "药片胶囊"], "the answer stays"


def test_several_images_give_a_table_and_a_csv(opened, tablets, tmp_path):
    draw_image("Broom", np.random.default_rng(1), 480).save(tmp_path / "broom.png")
    (tmp_path / "text.jpg").write_bytes(b"no image\n" * 100)
    opened.script("[...document.querySelectorAll('[role=tab]')].find(tab => tab.innerText.startsWith('Several')).click()")
    opened.wait_for(f"document.querySelector('#files {INPUT}')")
    opened.choose_file(f"#files {INPUT}", tablets, tmp_path / "broom.png", tmp_path / "text.jpg")
    opened.wait_for("document.querySelector('.answer td')")
    cells = "[...row.cells].map(cell => cell.innerText)"
    rows = opened.script(f"[...document.querySelectorAll('.answer tbody tr')].map(row => {cells})")
    found = [explain(GARBAGE_SORTER, path).predictions for path in (tablets, tmp_path / "broom.png")]
    assert [row[1:] for row in rows] == [
        ["tablets.jpg", "Tablet capsules 药片胶囊", f"{found[0][0].probability:.1%}", "hazardous 有害垃圾"],
        ["broom.png", "Broom 扫把", f"{found[1][0].probability:.1%}", "residual 干垃圾"]]
    assert "text.jpg is not an image" in opened.text(".answer ul")
    link = opened.script("(link => [link.download, link.href])(document.querySelector('.answer a'))")
    assert link[0] == "predictions.csv"
    table = csv.DictReader(io.StringIO(base64.b64decode(link[1].partition(",")[2]).decode("utf-8-sig")))
    assert [(row["path"], row["class"], row["class_2"]) for row in table] == [
        ("tablets.jpg", "Tablet capsules", found[0][1].name), ("broom.png", "Broom", found[1][1].name)]


def test_the_camera_is_a_source(opened):
    buttons = "[...document.querySelectorAll('.image-container button')]"
    opened.script("document.querySelector('button[aria-label=\"Capture from camera\"]').click()")
    opened.wait_for(f"{buttons}.find(button => button.innerText.includes('Webcam'))")
    opened.script(f"{buttons}.find(button => button.innerText.includes('Webcam')).click()")
    opened.wait_for("document.querySelector('.image-container video')?.videoWidth && document.querySelector('.photo-capture')")
    opened.script("document.querySelector('.photo-capture').click()")
    opened.wait_for(ANSWERED)
    assert opened.text(".answer .name")


@pytest.mark.parametrize(("name", "content", "message"), [
    ("text.jpg", b"no image\n" * 100, "text.jpg is not an image"),
    ("bomb.png", BOMB, "bomb.png has more than 89,478,485 pixels, which is not read"),
])
def test_what_is_no_image_to_read_is_refused_in_the_page(opened, tmp_path, name, content, message):
    (tmp_path / name).write_bytes(content)
    opened.choose_file(INPUT, tmp_path / name)
    opened.wait_for(ANSWERED)
    assert "This image is not used 这张图片不能用" in opened.text(".answer.refused")
    assert message in opened.text(".answer.refused")


def test_a_file_that_is_too_large_is_refused_in_the_page(opened, tmp_path):
    with open(tmp_path / "large.png", "wb") as file:
        file.truncate(UPLOAD_BYTES + 1)
    opened.choose_file(INPUT, tmp_path / "large.png")
    opened.wait_for("document.querySelector('.toast-body')")
    assert "exceed the maximum allowed size of 32.0 Mb" in opened.text(".toast-body")


def test_the_page_asks_nobody_but_its_server(served, opened, tablets):
    opened.choose_file(INPUT, tablets)
    opened.wait_for(ANSWERED)
    assert len(opened.requests) > 10
    assert [url for url in opened.requests if not url.startswith((f"{served.address}/", "data:", "blob:"))] == []
    hints = "[...document.querySelectorAll('link')].map(link => link.href).filter(url => !url.startsWith(location.origin))"
    assert opened.script(hints) == []  # a preconnect is no request
    refused = opened.script("new Promise(resolve => {"
                            " document.addEventListener('securitypolicyviolation', event => resolve(event.blockedURI));"
                            " fetch('https://example.com/').catch(() => 0) })")
    assert refused.startswith("https://example.com"), "the page may not, even if it would"


def ask(port, method, path, body=None, **headers):
    """(status, body) of a request to this machine's `port`."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    try:
        connection.request(method, path, body, headers)
        answer = connection.getresponse()
        return answer.status, answer.read()
    finally:
        connection.close()


def test_the_server_is_there_for_this_machine_only(served):
    assert ask(served.port, "GET", "/")[0] == 200
    assert ask(served.port, "GET", "/", Host="example.com")[0] == 400  # a name of somebody else's that leads here
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))  # sends nothing; tells which address this machine has outside
            own = probe.getsockname()[0]
        except OSError:
            own = "127.0.0.2"
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection((own, served.port), timeout=5)


def test_the_server_does_nothing_for_other_sites_and_fetches_no_address(served):
    assert ask(served.port, "GET", "/gradio_api/file=https://example.com/cat.png")[0] == 403
    assert ask(served.port, "GET", "/gradio_api/file%3Dhttp://127.0.0.1:9/")[0] == 403
    small = b'--x\r\nContent-Disposition: form-data; name="files"; filename="a.png"\r\n\r\nabc\r\n--x--\r\n'
    for origin, status in (("https://example.com", 403), ("null", 403), (served.address.rstrip("/"), 200)):
        headers = {"Content-Type": "multipart/form-data; boundary=x", "Origin": origin}
        assert ask(served.port, "POST", "/gradio_api/upload", small, **headers)[0] == status, origin


def test_the_server_keeps_nothing_that_is_too_large(served):
    before = set(served.temporary.rglob("*"))
    head = b'--x\r\nContent-Disposition: form-data; name="files"; filename="large.png"\r\n\r\n'
    body = head + bytes(UPLOAD_BYTES + 1) + b"\r\n--x--\r\n"
    status, _ = ask(served.port, "POST", "/gradio_api/upload", body, **{"Content-Type": "multipart/form-data; boundary=x"})
    assert status == 413
    kept = [path for path in set(served.temporary.rglob("*")) - before if path.is_file() and path.stat().st_size]
    assert kept == []


def test_ctrl_c_ends_it_quietly_and_leaves_no_files(served):
    ended = served.end()
    assert (ended.status, ended.output, ended.errors) == (0, "", "")  # so Python asked nobody outside either
    assert ended.files == []


def test_a_port_that_is_in_use_costs_one_line(capsys):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        assert main(["demo", "--port", str(port)]) == 2
    assert capsys.readouterr().err == (f"mindclf: port {port} cannot be used: Address already in use; name another with "
                                       f"--port, or 0 for a free one\n")


def test_without_gradio_one_line_says_what_to_install(monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "gradio", None)  # so that importing it fails
    assert main(["demo", "--port", "0"]) == 2
    assert "pip install gradio" in capsys.readouterr().err


CARD = Card({"net": "mobilenet_v2", "net_options": TINY_NET, "classes": ["<b>cat</b>", "<b>dog</b>", "<b>ship</b>"],
             "image_height": 32, "image_width": 32, "mean": [0, 0, 0], "std": [255, 255, 255],
             "classes_chinese": ["", "狗", "船"], "categories": [""] * 3, "categories_chinese": [""] * 3})


def test_classes_without_bins_are_answered_too_and_names_are_escaped(tmp_path):
    net = create_net("mobilenet_v2", 3, **TINY_NET).set_train(False)
    Image.new("RGB", (60, 40), "red").save(tmp_path / "red.png")
    sorter = Sorter(CheckpointFile(tmp_path / "run" / "best.ckpt"), net, CARD, CARD.preprocessing.reading, CARD.calibration)
    html = answer(sorter, tmp_path / "red.png")
    assert all(f"&lt;b&gt;{name}" in html and f"<b>{name}" not in html for name in ("cat", "dog", "ship"))
    assert "狗" in html and "船" in html and 'class="bin"' not in html
    (tmp_path / "<i>.png").write_bytes(b"")
    assert "&lt;i&gt;.png is not an image" in answer(sorter, tmp_path / "<i>.png")


def test_where_the_net_is_not_sure_the_answer_is_that_and_the_bars_have_a_mark(tmp_path):
    net = create_net("mobilenet_v2", 3, **TINY_NET).set_train(False)
    Image.new("RGB", (60, 40), "red").save(tmp_path / "red.png")
    for threshold, unsure in ((1.0, True), (0.01, False)):
        sorter = Sorter(CheckpointFile(tmp_path / "run" / "best.ckpt"), net, CARD, CARD.preprocessing.reading,
                        CARD.calibration.with_threshold(threshold))
        html = answer(sorter, tmp_path / "red.png")
        assert ('class="name doubt"><b>Not sure</b>' in html) == unsure
        assert html.count(f"--limit: {threshold:.1%}") == 3
    assert sorter.name == "run/best.ckpt"


def test_a_threshold_of_0_holds_for_several_images_too(tmp_path):
    net = create_net("mobilenet_v2", 3, **TINY_NET).set_train(False)
    save_checkpoint(net, tmp_path / "best.ckpt", {**CARD, "calibration": {"temperature": 1.0, "threshold": 0.9}})
    thresholds = [Sorter.of(tmp_path / "best.ckpt", threshold=threshold).predictor.calibration.threshold
                  for threshold in (None, 0, 0.5)]
    assert thresholds == [0.9, None, 0.5]


@pytest.mark.parametrize(("kind", "opens"), [(webbrowser.BackgroundBrowser, True), (webbrowser.GenericBrowser, False)])
def test_the_browser_is_opened_with_its_own_variables_but_none_that_takes_the_terminal(monkeypatch, kind, opens):
    given = []

    class Stand(kind):
        def open(self, address):
            given.append((address, os.environ.get("NO_PROXY")))

    stand = Stand("browser")
    if not opens:
        stand = kind("w3m")
        stand.open = lambda address: given.append(address)
    monkeypatch.setattr(webbrowser, "get", lambda: stand)
    monkeypatch.setenv("NO_PROXY", "*")
    open_in_browser("http://127.0.0.1:1", {**os.environ, "NO_PROXY": "intranet"})
    assert given == ([("http://127.0.0.1:1", "intranet")] if opens else []) and os.environ["NO_PROXY"] == "*"


def test_without_a_browser_the_address_is_enough(monkeypatch):
    def none():
        raise webbrowser.Error("could not locate runnable browser")

    monkeypatch.setattr(webbrowser, "get", none)
    before = dict(os.environ)
    open_in_browser("http://127.0.0.1:1", {})
    assert os.environ == before


def test_only_what_was_uploaded_is_opened(tmp_path):
    (tmp_path / "uploads").mkdir()
    (tmp_path / "uploads" / "link.png").symlink_to(tmp_path / "own.png")
    inside = tmp_path / "uploads" / "1f" / "photo.png"
    assert uploaded(str(inside), tmp_path / "uploads") == str(inside)
    for path in (tmp_path / "own.png", tmp_path / "uploads" / ".." / "own.png", tmp_path / "uploads" / "link.png"):
        with pytest.raises(ValueError, match="was not uploaded"):
            uploaded(str(path), tmp_path / "uploads")


def test_examples_are_drawn_where_the_classes_are_garbage(tmp_path):
    names = ["Battery", "cat", "Broom"]
    drawn = example_images(None, class_labels(names, "garbage26"), tmp_path)
    assert [Path(path).stem for path in drawn] == ["Broom", "Battery"]
    assert example_images(None, class_labels(names), tmp_path) == []  # of somebody's own, whatever is on it


def test_examples_come_from_all_over_a_folder(tmp_path, caplog):
    for name in "abc":
        for index in range(20):
            (tmp_path / name).mkdir(exist_ok=True)
            Image.new("RGB", (20, 20), "red").save(tmp_path / name / f"{index:02d}.png")
    (tmp_path / "a" / "00.png").write_bytes(b"broken")
    found = example_images(tmp_path, class_labels(["cat"]), tmp_path)
    assert len(found) == EXAMPLES - 1 and {Path(path).parent.name for path in found} == set("abc")
    assert "00.png is not an image" in caplog.text
    with pytest.raises(ValueError, match="missing is not a folder"):
        example_images(tmp_path / "missing", class_labels(["cat"]), tmp_path)
    (tmp_path / "none").mkdir()
    with pytest.raises(ValueError, match="has no image that can be used"):
        example_images(tmp_path / "none", ["cat"], tmp_path)
