"""Page: what `mindclf demo` shows in the browser."""

from __future__ import annotations

from html import escape
from pathlib import Path

from mindclf.demo.answers import MOST_PROBABLE, answer
from mindclf.demo.examples import EXAMPLES
from mindclf.demo.several import several

KEPT_SECONDS = 600  # what was uploaded is removed so much later, and at the end
FONT = ("system-ui", "Noto Sans", "Noto Sans CJK SC", "Microsoft YaHei", "PingFang SC", "sans-serif")  # none is loaded
STYLE = """
.gradio-container > main { width: 100%; max-width: 1180px; margin: 0 auto; }
.gradio-container .html-container { padding: 0; }
.intro h1 { font-size: 1.7rem; line-height: 1.25; margin: 0 0 .4rem; }
.intro code { overflow-wrap: anywhere; }
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
.answer .prediction.limited i { position: relative; }
.answer .prediction.limited i::after { content: ""; position: absolute; left: var(--limit); top: -3px; bottom: -3px;
                                       border-left: 2px solid var(--body-text-color); }
.answer.refused .bin { background: #b8261c; }
.gradio-container .answer .name.doubt { background: #8a5a00; padding-bottom: .6rem; }
.gradio-container .answer .name.doubt * { color: #fff; }
.answer .scrolled { overflow-x: auto; padding: 0; }
.answer table { border-collapse: collapse; width: 100%; min-width: 620px; }
.gradio-container .answer :is(th, td) { text-align: left; padding: .35rem 1.1rem; overflow-wrap: normal; border: 0 solid;
                                        border-bottom: 1px solid var(--border-color-primary); }
.answer td img { width: 56px; height: 42px; object-fit: cover; border-radius: 4px; }
.answer td.doubt { color: #b36b00; font-weight: 600; }
.answer.empty { border-style: dashed; text-align: center; padding: 4rem 1rem; }
@media (max-width: 700px) {  /* the answer comes before the examples */
  .both { flex-direction: column; }
  .both > .given { display: contents !important; }
  .both #examples { order: 1; }
}
"""


def blocks(sorter, examples, folder):
    """The page, Gradio's Blocks, for a `Sorter`.

    `examples` are paths of images; `folder` is where Gradio puts what it is given.
    """
    import gradio as gr

    def look(upload, target):
        return answer(sorter, upload and uploaded(upload["path"], folder),
                      MOST_PROBABLE if target is None else target)

    def look_at_all(uploads):
        return several(sorter, [(uploaded(upload["path"], folder), upload.get("orig_name") or Path(upload["path"]).name)
                                for upload in uploads or ()])

    quietly = {"preprocess": False,  # mindclf opens the files, not Gradio
               "show_progress": "minimal", "api_visibility": "private", "concurrency_limit": 1}
    with gr.Blocks(title=f"mindclf: {sorter.name}", analytics_enabled=False, delete_cache=(60, KEPT_SECONDS)) as page:
        gr.HTML(_intro(sorter))
        with gr.Tab("One image 一张图片"), gr.Row(elem_classes="both"):
            with gr.Column(scale=5, min_width=300, elem_classes="given"):
                image = gr.Image(label="Image 图片", sources=["upload", "webcam", "clipboard"], height=360, buttons=[],
                                 webcam_options=gr.WebcamOptions(mirror=False))
                target = gr.Dropdown(_targets(sorter.card.labels), value=MOST_PROBABLE, label="Heatmap of 热力图所示类别",
                                     elem_id="target")
                if examples:
                    gr.Examples(examples, image, label="Examples 示例", elem_id="examples", examples_per_page=EXAMPLES,
                                cache_examples=False)
            with gr.Column(scale=6, min_width=300):
                shown = gr.HTML(answer(sorter, None))
        with gr.Tab("Several images 多张图片", elem_id="several"):
            files = gr.File(label="Images 图片", file_count="multiple", file_types=["image"], height=180, elem_id="files")
            table = gr.HTML(several(sorter, []))
        gr.on([image.change, target.change], look, [image, target], shown, **quietly)
        files.change(look_at_all, files, table, **quietly)
    return page


def uploaded(path, folder):
    """`path`, which a browser says its upload is at. Raises ValueError unless it lies in `folder`: who asks may ask for any."""
    if not Path(path).resolve().is_relative_to(Path(folder).resolve()):
        raise ValueError(f"{path} was not uploaded")
    return path


def _targets(labels):
    """(what it is called, value) of each class that may be explained."""
    names = [" ".join(filter(None, (label.name, label.chinese))) for label in labels]
    return [("the most probable class 最可能的类别", MOST_PROBABLE), *zip(names, range(len(names)))]


def _intro(sorter):
    count, threshold = len(sorter.card.classes), sorter.calibration.threshold
    name = f"<code>{escape(sorter.name)}</code>"
    net = escape(sorter.card.net)
    if threshold is None:
        english = f"{name} ({net}) answers with one of its {count} classes, whatever it is shown."
        chinese = f"无论看到什么，{name} 都会从 {count} 个类别中选一个。"
    else:
        english = f"{name} ({net}) answers with one of its {count} classes, or that it is not sure: below {threshold:.1%}."
        chinese = f"{name} 会从 {count} 个类别中选一个；置信度低于 {threshold:.1%} 时回答“不确定”。"
    return ('<div class="intro"><h1>What is on the image? <span lang="zh-CN">图片上是什么？</span></h1>'
            f"<p>{english} Images stay on this computer.<br>"
            f'<span lang="zh-CN">{chinese}图片不会离开这台电脑。</span></p></div>')
