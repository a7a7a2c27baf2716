"""Debian's Chromium without a window, steered over a pipe by the DevTools protocol, so that no library is needed for it."""

import base64
import itertools
import json
import os
import select
import subprocess
import sys
import time

FLAGS = (
    "--headless=new", "--remote-debugging-pipe", "--no-first-run", "--disable-gpu", "--hide-scrollbars", "--mute-audio",
    "--disable-background-networking", "--disable-component-update", "--disable-sync", "--disable-extensions",
    "--disable-dev-shm-usage", "--disable-features=OptimizationHints,MediaRouter,Translate",
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",  # whatever a page asks for elsewhere, it gets nothing
    *(["--no-sandbox"] if os.geteuid() == 0 else []),  # root has no sandbox
)
# The browser reads commands from descriptor 3 and writes to 4, whatever Python called them.
LAUNCHER = """
import fcntl, os, sys
pipe = [fcntl.fcntl(int(number), fcntl.F_DUPFD, 10) for number in sys.argv[1:3]]
for number, descriptor in enumerate(pipe, start=3):
    os.dup2(descriptor, number)
os.execv(sys.argv[3], sys.argv[3:])
"""


class Browser:
    """A page in a Chromium of its own, whose files are in `folder`. `requests` has the addresses of all that was asked for."""

    def __init__(self, program, folder, width=1280, height=900, flags=()):
        theirs_in, self._to = os.pipe()
        self._from, theirs_out = os.pipe()
        with open(folder / "chromium.log", "wb") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-c", LAUNCHER, str(theirs_in), str(theirs_out), program, *FLAGS, *flags,
                 f"--user-data-dir={folder}/profile", f"--window-size={width},{height}"],
                pass_fds=(theirs_in, theirs_out), stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        os.close(theirs_in)
        os.close(theirs_out)
        self._numbers, self._buffer, self._session, self.requests = itertools.count(1), b"", None, []
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        self._session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Network", "DOM", "Runtime"):
            self.call(f"{domain}.enable")
        self.resize(width, height)

    def call(self, method, seconds=60, **parameters):
        """What the protocol's `method` answers; the events before it are gone through."""
        number = next(self._numbers)
        message = {"id": number, "method": method, "params": parameters}
        if self._session:
            message["sessionId"] = self._session
        os.write(self._to, json.dumps(message).encode() + b"\0")
        deadline = time.monotonic() + seconds
        while True:
            answer = self._next(deadline, method)
            if answer.get("id") == number:
                assert "error" not in answer, (method, answer)
                return answer["result"]
            if answer.get("method") == "Network.requestWillBeSent":
                self.requests.append(answer["params"]["request"]["url"])

    def resize(self, width, height, mobile=False):
        self.call("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=mobile)

    def open(self, address):
        self.call("Page.navigate", url=address)

    def script(self, text):
        """The value of a JavaScript expression, as far as JSON has it."""
        answer = self.call("Runtime.evaluate", expression=text, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in answer, answer
        return answer["result"].get("value")

    def wait_for(self, text, seconds=60):
        """Waits until a JavaScript expression is true; AssertionError with the page's text if it is not after so many seconds."""
        deadline = time.monotonic() + seconds
        while not self.script(f"Boolean({text})"):
            assert time.monotonic() < deadline, f"not so after {seconds} s: {text}\nthe page: {self.text()}"
            time.sleep(0.1)

    def text(self, selector="body"):
        return self.script(f"document.querySelector({json.dumps(selector)})?.innerText")

    def choose_file(self, selector, *paths):
        """Gives the files at `paths` to the page's input element, as a person does in the dialogue of the system."""
        root = self.call("DOM.getDocument")["root"]["nodeId"]
        node = self.call("DOM.querySelector", nodeId=root, selector=selector)["nodeId"]
        self.call("DOM.setFileInputFiles", files=list(map(str, paths)), nodeId=node)

    def screenshot(self, path, whole=False):
        image = self.call("Page.captureScreenshot", format="png", captureBeyondViewport=whole)
        path.write_bytes(base64.b64decode(image["data"]))

    def close(self):
        """Ends the browser."""
        self._session = None
        try:
            self.call("Browser.close", seconds=20)
            self._process.wait(20)
        finally:
            self._process.kill()
            self._process.wait()
            for descriptor in (self._to, self._from):
                os.close(descriptor)

    def _next(self, deadline, waiting_for):
        while b"\0" not in self._buffer:
            ready, _, _ = select.select([self._from], [], [], max(0, deadline - time.monotonic()))
            assert ready, f"the browser does not answer to {waiting_for}"
            piece = os.read(self._from, 2**20)
            assert piece, f"the browser ended before it answered to {waiting_for}"
            self._buffer += piece
        message, _, self._buffer = self._buffer.partition(b"\0")
        return json.loads(message)
