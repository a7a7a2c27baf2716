"""Server: the page for this machine alone, which asks nobody outside for anything."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import tempfile
import webbrowser
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import urlsplit

from mindclf.checkpoint import CheckpointFile
from mindclf.demo.answers import Sorter
from mindclf.demo.examples import example_images
from mindclf.demo.page import FONT, STYLE, blocks
from mindclf.inference.sources import URL_BYTES
from mindclf.preprocessing import DEFAULT_READING, Reading
from mindclf.utils.extras import require
from mindclf.utils.language import translate

HOST = "127.0.0.1"
UPLOAD_BYTES = URL_BYTES  # as much as is read from an address

# Gradio and what it brings have telemetry and look for newer versions; nothing may leave this machine.
# So it needs no proxy either: httpx, which Gradio imports, fails at the address of one of a kind that it does not know.
OFFLINE = {"GRADIO_ANALYTICS_ENABLED": "False", "HF_HUB_DISABLE_TELEMETRY": "1", "HF_HUB_OFFLINE": "1", "NO_PROXY": "*",
           "no_proxy": "*"}
CERTIFICATES = ("SSL_CERT_FILE", "SSL_CERT_DIR")  # nor certificates: httpx fails at variables that lead nowhere
# And the browser is told to ask nobody but this page's server for anything, nor to show the page inside of another.
POLICY = "default-src 'self' 'unsafe-inline' 'unsafe-eval' data: blob:; frame-ancestors 'none'; form-action 'self'"


def serve(checkpoint: str | Path | CheckpointFile, examples: str | Path | None = None, port: int = 0,
          asked: Reading = DEFAULT_READING, threshold: float | None = None, in_browser: bool = False) -> None:
    """Shows the page on this machine, at no other address than HOST, until it is interrupted.

    `examples` is a folder of images to offer; without one the page offers drawings of the garbage classes that the net knows.
    `port` 0 stands for any free one. Images are read as `asked`, see `Preprocessing.read_as`. Below `threshold`, by default the
    card's, the answer is "not sure", see `Predictor`. `in_browser` opens the page in this machine's browser, where there is one.
    What is uploaded lies in a temporary folder, which is gone at the end. Raises ValueError for what cannot be used.
    """
    checkpoint = CheckpointFile.of(checkpoint)
    with _listen(port) as listener, tempfile.TemporaryDirectory(prefix="mindclf-demo-") as folder:
        environment = dict(os.environ)
        stay_offline()
        os.environ["GRADIO_TEMP_DIR"] = folder
        require("gradio", "the page is made with Gradio", "pip install gradio")
        uvicorn = require("uvicorn", "the page is served by uvicorn", "pip install gradio, which brings it")
        sorter = Sorter.of(checkpoint, asked, threshold)
        app = application(blocks(sorter, example_images(examples, sorter.card.labels, folder, sorter.reading), folder))
        config = uvicorn.Config(app, log_level="critical", timeout_graceful_shutdown=1,  # a browser holds its connection for ever
                                headers=[("Content-Security-Policy", POLICY), ("Referrer-Policy", "no-referrer")])
        signal.signal(signal.SIGTERM, signal.default_int_handler)  # whichever way it ends, the temporary folder goes
        address = f"http://{HOST}:{listener.getsockname()[1]}"
        print(translate(f"{address}  (Ctrl-C ends it)"), flush=True)
        if in_browser:
            open_in_browser(address, environment)
        with contextlib.suppress(KeyboardInterrupt):
            uvicorn.Server(config).run(sockets=[listener])


def open_in_browser(address: str, environment: Mapping[str, str]) -> None:
    """Opens `address` in this machine's browser, which is started with the variables `environment`, not with those of OFFLINE.

    Where there is none, or one that would take the terminal, it does nothing.
    """
    ours = dict(os.environ)
    try:
        os.environ.clear()
        os.environ.update(environment)
        browser = webbrowser.get()
        if type(browser) is not webbrowser.GenericBrowser:  # as w3m is, which waits for it to end
            browser.open(address)
    except (webbrowser.Error, OSError):
        pass
    finally:
        os.environ.clear()
        os.environ.update(ours)


def stay_offline():
    """Sets the variables of this process that Gradio and httpx read when they are imported, and later."""
    os.environ.update(OFFLINE)
    for name in CERTIFICATES:
        os.environ.pop(name, None)


def application(page):
    """The page, Gradio's Blocks, as a web application (FastAPI) that answers to this machine's names only."""
    import gradio as gr
    from fastapi import FastAPI
    from starlette.middleware.trustedhost import TrustedHostMiddleware

    app = FastAPI(docs_url=None, redoc_url=None, openapi_url=None)
    app.add_middleware(_OwnPageOnly)
    app.add_middleware(TrustedHostMiddleware, allowed_hosts=[HOST, "localhost"])  # other sites' names may lead here too
    theme = gr.themes.Default(font=FONT, font_mono=("ui-monospace", "monospace"), primary_hue="emerald")
    return gr.mount_gradio_app(app, page, "/", server_name=HOST, footer_links=[], run_history=False, ssr_mode=False,
                               mcp_server=False, max_file_size=UPLOAD_BYTES, theme=theme, css=STYLE)


class _OwnPageOnly:
    """Refuses what other sites' pages ask of this server, and to fetch addresses, which Gradio would do for anybody."""

    def __init__(self, app):
        self.app = app

    async def __call__(self, scope, receive, send):
        if scope["type"] == "http":
            from starlette.responses import PlainTextResponse

            origin = dict(scope["headers"]).get(b"origin", b"").decode("latin-1")
            if "file=http" in scope["path"].lower() or (origin and urlsplit(origin).hostname not in (HOST, "localhost")):
                await PlainTextResponse("refused", 403)(scope, receive, send)
                return
        await self.app(scope, receive, send)


def _listen(port):
    if not 0 <= port <= 65535:
        raise ValueError(f"--port {port} must lie between 0, for a free one, and 65535")
    listener = socket.socket()
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # one that ended a moment ago does not count
    try:
        listener.bind((HOST, port))
        listener.listen()
    except OSError as error:
        listener.close()
        raise ValueError(f"port {port} cannot be used: {error.strerror}; name another with --port, or 0 for a free one") from None
    return listener
