"""docs/serving.md: the server that it shows answers requests side by side as a Predictor answers them one by one."""

import re
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from mindclf.dataset import read_folder
from mindclf.predict import Predictor
from tests.conftest import CLASS_INDEX

DOCUMENT = Path(__file__).resolve().parents[1] / "docs" / "serving.md"
SECONDS = 60


@pytest.fixture
def url(fitted, tmp_path):
    """The address at which the document's server answers with the net of `fitted`."""
    for package in ("fastapi", "uvicorn"):
        pytest.importorskip(package, reason="needs FastAPI and uvicorn, which the extra demo brings")
    [code] = re.findall(r"```python\n(.*?)```", DOCUMENT.read_text(encoding="utf-8"), re.DOTALL)
    (tmp_path / "server.py").write_text(code.replace("Predictor()", f"Predictor({str(fitted.checkpoint)!r})"), encoding="utf-8")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", "uvicorn", "server:app", "--port", str(port), "--log-level", "error"]
    with subprocess.Popen(command, cwd=tmp_path, stderr=subprocess.PIPE, text=True) as server:
        try:
            for _ in range(10 * SECONDS):
                assert server.poll() is None, server.stderr.read()
                with socket.socket() as probe:
                    if probe.connect_ex(("127.0.0.1", port)) == 0:
                        break
                time.sleep(0.1)
            yield f"http://127.0.0.1:{port}/predict"
        finally:
            server.terminate()
            try:
                server.wait(SECONDS)
            except subprocess.TimeoutExpired:
                server.kill()
                raise


def ask(url, body):
    request = urllib.request.Request(url, body, {"Content-Type": "application/octet-stream"})
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(request, timeout=SECONDS) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


def test_the_server_of_the_document_answers_side_by_side_as_a_predictor_does_alone(url, fitted, colour_folder):
    paths = read_folder(colour_folder / "test", CLASS_INDEX).paths * 4
    predictor = Predictor(fitted.checkpoint)
    expected = [predictor.predict([path])[0][0].name for path in paths]
    with ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(lambda path: ask(url, Path(path).read_bytes()), paths))
    assert [status for status, _ in answers] == [200] * len(paths)
    assert [re.match(r'\[\{"name":"(\w+)"', text)[1] for _, text in answers] == expected
    assert ask(url, b"no image") == (400, '{"detail":"the image is not an image but text: \'no image\'"}')
