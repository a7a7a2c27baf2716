"""Demo: a page on this machine to try a net with one's own images, `mindclf demo`. It is made with Gradio, the extra `demo`."""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import socket
import tempfile
from html import escape
from pathlib import Path
from urllib.parse import urlsplit

import numpy as np

from mindclf.checkpoint import CheckpointFile
from mindclf.dataset import ImageSet
from mindclf.dataset.images import opened_image
from mindclf.drawings.generate import draw_image
from mindclf.explain import explanations, net_with_gradients
from mindclf.inference.sources import URL_BYTES, gather
from mindclf.labels import BIN_COLOURS
from mindclf.preprocessing import DEFAULT_READING, Reading
from mindclf.utils.extras import require
from mindclf.utils.html import jpeg_element

log = logging.getLogger(__name__)

HOST = "127.0.0.1"
UPLOAD_BYTES = URL_BYTES  # as much as is read from an address
KEPT_SECONDS = 600        # what was uploaded is removed so much later, and at the end
SHOWN_PIXELS = 640        # the longer side of the answer's image
EXAMPLES = 12             # shown at most
DRAWN_PIXELS = 480
DRAWN = {  # class: seed. Two of each bin that the published sorter, which has seen photos only, predicts correctly
    "Broom": 1, "Disposable Chopsticks": 15, "Basketball": 8, "Paper": 2, "Eggshell": 12, "Banana Peel": 1,
    "Tablet capsules": 14, "Battery": 10,
}
BINS = {"black": ("var(--black)", "黑色"), "blue": ("#1660ad", "蓝色"), "brown": ("#7b4f2a", "棕色"), "red": ("#b8261c", "红色")}
NO_BIN = "#2f7d63"

# Gradio and what it brings have telemetry and look for newer versions; nothing may leave this machine.
# So it needs no proxy either: httpx, which Gradio imports, fails at the address of one of a kind that it does not know.
OFFLINE = {"GRADIO_ANALYTICS_ENABLED": "False", "HF_HUB_DISABLE_TELEMETRY": "1", "HF_HUB_OFFLINE": "1", "NO_PROXY": "*",
           "no_proxy": "*"}
CERTIFICATES = ("SSL_CERT_FILE", "SSL_CERT_DIR")  # nor certificates: httpx fails at variables that lead nowhere
# And the browser is told to ask nobody but this page's server for anything, nor to show the page inside of another.
POLICY = "default-src 'self' 'unsafe-inline' 'unsafe-eval' data: blob:; frame-ancestors 'none'; form-action 'self'"

FONT = ("system-ui", "Noto Sans", "Noto Sans CJK SC", "Microsoft YaHei", "PingFang SC", "sans-serif")  # none is loaded
STYLE = """
.gradio-container > main { width: 100%; max-width: 1180px; margin: 0 auto; }
.gradio-container .html-container { padding: 0; }
.intro h1 { font-size: 1.7rem; line-height: 1.25; margin: 0 0 .4rem; }
.intro h1 span { display: inline-block; }
.gradio-container .quiet, .gradio-container .quiet * { color: var(--quiet); }
.gradio-container { --quiet: #5c6a64; --black: #33383b; }
.dark .gradio-container, .gradio-container.dark { --quiet: #a9b5b0; --black: #70787d; }
.answer { border: 1px solid var(--border-color-primary); border-radius: 8px; overflow: hidden;
          background: var(--block-background-fill); overflow-wrap: anywhere; }
.answer > * { margin: 0; padding: .7rem 1.1rem; }
.gradio-container .answer .bin, .gradio-container .answer .bin * { color: #fff; font-weight: 600; }
.answer .bin { background: var(--bin); }
.answer .bin span, .answer figcaption span { display: inline-block; }
.answer .name { display: flex; flex-wrap: wrap; gap: 0 .8rem; align-items: baseline; padding-top: 1rem; }
.answer .name b { font-size: 1.8rem; line-height: 1.3; }
.answer .name span { font-size: 1.4rem; }
.answer .prediction { display: grid; grid-template-columns: 1fr auto; gap: .1rem .8rem;
                      padding-top: .2rem; padding-bottom: .4rem; }
.answer .prediction i { grid-column: 1 / -1; height: 8px; border-radius: 4px;
                        background: linear-gradient(var(--bin), var(--bin)) 0 / var(--width) no-repeat,
                                    var(--border-color-primary); }
.answer .number { font-variant-numeric: tabular-nums; font-weight: 600; }
.answer figure img { display: block; width: 100%; max-height: 420px; object-fit: contain; border-radius: 8px;
                     background: var(--background-fill-secondary); }
.answer figcaption { font-size: .85rem; padding-top: .5rem; }
.answer.refused .bin { background: #b8261c; }
.answer.empty { border-style: dashed; text-align: center; padding: 4rem 1rem; }
@media (max-width: 700px) {  /* the answer comes before the examples */
  .both { flex-direction: column; }
  .both > .given { display: contents !important; }
  .both #examples { order: 1; }
}
"""


def serve(checkpoint: str | Path | CheckpointFile, examples: str | Path | None = None, port: int = 0,
          asked: Reading = DEFAULT_READING, threshold: float | None = None) -> None:
    """Shows the page on this machine, at no other address than HOST, until it is interrupted.

    `examples` is a folder of images to offer; without one the page offers drawings of the garbage classes that the net knows.
    `port` 0 stands for any free one. Images are read as `asked`, see `Preprocessing.read_as`. Below `threshold`, by default the
    card's, the answer is "not sure", see `Predictor`. What is uploaded lies in a temporary folder, which is gone at the end.
    Raises ValueError for what cannot be used.
    """
    checkpoint = CheckpointFile.of(checkpoint)
    with _listen(port) as listener, tempfile.TemporaryDirectory(prefix="mindclf-demo-") as folder:
        stay_offline()
        os.environ["GRADIO_TEMP_DIR"] = folder
        require("gradio", "the page is made with Gradio", "pip install gradio")
        uvicorn = require("uvicorn", "the page is served by uvicorn", "pip install gradio, which brings it")
        net, card = net_with_gradients(checkpoint)
        reading, calibration = card.preprocessing.read_as(asked).reading, card.calibration.with_threshold(threshold)
        examples = example_images(examples, card.labels, folder, reading)
        app = page(net, card, checkpoint.path.stem, examples, folder, reading, calibration)
        config = uvicorn.Config(app, log_level="critical", timeout_graceful_shutdown=1,  # a browser holds its connection for ever
                                headers=[("Content-Security-Policy", POLICY), ("Referrer-Policy", "no-referrer")])
        signal.signal(signal.SIGTERM, signal.default_int_handler)  # whichever way it ends, the temporary folder goes
        print(f"http://{HOST}:{listener.getsockname()[1]}  (Ctrl-C ends it)", flush=True)
        with contextlib.suppress(KeyboardInterrupt):
            uvicorn.Server(config).run(sockets=[listener])


def stay_offline():
    """Sets the variables of this process that Gradio and httpx read when they are imported, and later."""
    os.environ.update(OFFLINE)
    for name in CERTIFICATES:
        os.environ.pop(name, None)


def page(net, card, name, examples, folder, reading, calibration=None):
    """The page as a web application (FastAPI) that answers to this machine's names only.

    The net is called `name`; `examples` are paths of images; `folder` is where Gradio puts what it is given; `reading` says how
    that is read; `calibration` is that of `answer`.
    """
    import gradio as gr
    from fastapi import FastAPI
    from starlette.middleware.trustedhost import TrustedHostMiddleware

    def look(upload):
        return answer(net, card, upload and uploaded(upload["path"], folder), reading, calibration)

    with gr.Blocks(title=f"mindclf: {name}", analytics_enabled=False, delete_cache=(60, KEPT_SECONDS)) as blocks:
        gr.HTML(_intro(name, card, (calibration or card.calibration).threshold))
        with gr.Row(elem_classes="both"):
            with gr.Column(scale=5, min_width=300, elem_classes="given"):
                image = gr.Image(label="Image 图片", sources=["upload", "clipboard"], height=360, buttons=[])
                if examples:
                    gr.Examples(examples, image, label="Examples 示例", elem_id="examples", examples_per_page=EXAMPLES,
                                cache_examples=False)
            with gr.Column(scale=6, min_width=300):
                shown = gr.HTML(answer(net, card, None))
        image.change(look, image, shown, preprocess=False,  # mindclf opens the file, not Gradio
                       show_progress="minimal", api_visibility="private", concurrency_limit=1)

    app = FastAPI(docs_url=None, redoc_url=None, openapi_url=None)
    app.add_middleware(_OwnPageOnly)
    app.add_middleware(TrustedHostMiddleware, allowed_hosts=[HOST, "localhost"])  # other sites' names may lead here too
    theme = gr.themes.Default(font=FONT, font_mono=("ui-monospace", "monospace"), primary_hue="emerald")
    return gr.mount_gradio_app(app, blocks, "/", server_name=HOST, footer_links=[], run_history=False, ssr_mode=False,
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


def answer(net, card, path, reading=None, calibration=None):
    """HTML: what the net sees on the image at `path` and where, why the image is refused, or, for None, what to do.

    `reading` says how the image is read, and `calibration` when the net is sure, by default as the card has them.
    """
    calibration = calibration or card.calibration
    if path is None:
        return ('<div class="answer empty quiet"><p>Drop an image, or choose an example.</p>'
                '<p lang="zh-CN">放入一张图片，或选一个示例。</p></div>')
    try:
        with opened_image(Path(path).read_bytes(), Path(path).name, reading or card.preprocessing.reading) as opened:
            image, remarks = opened.whole(), opened.remarks
    except (ValueError, OSError) as error:
        return ('<div class="answer refused" role="alert"><p class="bin">This image is not used '
                f'<span lang="zh-CN">这张图片不能用</span></p><p>{escape(str(error))}</p></div>')
    [explanation] = explanations(net, card.preprocessing, card.labels, ImageSet((image,), (0,), card.classes),
                                 calibration=calibration)
    top = explanation.prediction
    is_sure = calibration.is_sure(top.probability)
    heatmap = jpeg_element(explanation.shrunk(SHOWN_PIXELS).overlay, f"heatmap of {top.name}")
    return (f'<div class="answer" role="status" style="--bin: {_colour(top)}">{_bin(top) if is_sure else ""}'
            f'{_name(top) if is_sure else _doubt(calibration.threshold)}'
            f"{''.join(map(_bar, explanation.predictions))}"
            f"{''.join(f'<p>An image {escape(remark)}.</p>' for remark in remarks)}"
            f"<figure>{heatmap}<figcaption class=\"quiet\">Red spoke most for {escape(top.name)}; what is dark was not seen. "
            f'<span lang="zh-CN">红色处最支持“{escape(top.chinese or top.name)}”；暗处网络没有看到。</span>'
            "</figcaption></figure></div>")


def uploaded(path, folder):
    """`path`, which a browser says its upload is at. Raises ValueError unless it lies in `folder`: who asks may ask for any."""
    if not Path(path).resolve().is_relative_to(Path(folder).resolve()):
        raise ValueError(f"{path} was not uploaded")
    return path


def example_images(folder, labels, to, reading=DEFAULT_READING):
    """Paths of up to EXAMPLES images: from all over `folder`, or, without one, drawings made in the folder `to`.

    Of the classes `labels` it draws those that belong in a bin: others may have the name of one and be something else. Files
    that cannot be used are left out with a warning each. Raises ValueError for a folder without an image.
    """
    if folder is None:
        paths = []
        garbage = {label.name for label in labels if label.category}
        for name in (name for name in DRAWN if name in garbage):
            paths.append(str(Path(to) / f"{name}.png"))
            draw_image(name, np.random.default_rng(DRAWN[name]), DRAWN_PIXELS).save(paths[-1])
        return paths
    if not Path(folder).is_dir():
        raise ValueError(f"--examples {folder} is not a folder")
    files = list(gather([str(folder)], reading=reading))
    paths = []
    for index in np.linspace(0, len(files) - 1, min(EXAMPLES, len(files))).astype(int):
        name, read = files[index]
        try:
            read()
            paths.append(name)
        except ValueError as error:
            log.warning("left out of the examples: %s", error)
    if not paths:
        raise ValueError(f"--examples {folder} has no image that can be used")
    return paths


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


def _intro(name, card, threshold):
    count = len(card.classes)
    name = escape(name)
    if threshold is None:
        english = f"{name} answers with one of its {count} classes, whatever it is shown."
        chinese = f"无论看到什么，{name} 都会从 {count} 个类别中选一个。"
    else:
        english = f"{name} answers with one of its {count} classes, or that it is not sure: below {threshold:.1%}."
        chinese = f"{name} 会从 {count} 个类别中选一个；置信度低于 {threshold:.1%} 时回答“不确定”。"
    return ('<div class="intro"><h1>What is on the image? <span lang="zh-CN">图片上是什么？</span></h1>'
            f"<p>{english} Images stay on this computer.<br>"
            f'<span lang="zh-CN">{chinese}图片不会离开这台电脑。</span></p></div>')


def _name(prediction):
    return (f'<p class="name"><b>{escape(prediction.name)}</b> '
            f'<span lang="zh-CN">{escape(prediction.chinese)}</span></p>')


def _doubt(threshold):
    """What stands in the place of the name where the net is not sure."""
    return (f'<p class="name"><b>Not sure</b> <span lang="zh-CN">不确定</span></p><p class="quiet">No class has '
            f'{threshold:.1%}: perhaps it is something else. <span lang="zh-CN">没有类别达到 {threshold:.1%}，'
            '可能不属于任何一类。</span></p>')


def _bin(prediction):
    """The line about the bin, or nothing for a class that belongs in none."""
    if prediction.category not in BIN_COLOURS:
        return ""
    colour = BIN_COLOURS[prediction.category]
    return (f'<p class="bin">{escape(prediction.category.capitalize())} waste, {colour} bin '
            f'<span lang="zh-CN">{escape(prediction.category_chinese)}，{BINS[colour][1]}桶</span></p>')


def _bar(prediction):
    """A class and its probability, as a number and as a bar."""
    chinese = f' <span lang="zh-CN">{escape(prediction.chinese)}</span>' if prediction.chinese else ""
    probability = f"{prediction.probability:.1%}"
    return (f'<div class="prediction" style="--bin: {_colour(prediction)}; --width: {probability}">'
            f'<span>{escape(prediction.name)}{chinese}</span><span class="number">{probability}</span><i></i></div>')


def _colour(prediction):
    return BINS[BIN_COLOURS[prediction.category]][0] if prediction.category in BIN_COLOURS else NO_BIN
