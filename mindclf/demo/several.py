"""Several images at once: a table for the page, and a CSV to take away."""

from __future__ import annotations

import base64
import tempfile
from collections.abc import Sequence
from functools import partial
from html import escape
from pathlib import Path

from mindclf.dataset.images import whole_image
from mindclf.demo.answers import Sorter
from mindclf.inference.collect import answer_of
from mindclf.inference.table import PredictionTable
from mindclf.utils.files import one_line, sha256
from mindclf.utils.html import html_text, jpeg_element

THUMBNAIL = (112, 84)  # pixels
TOP_K = 3              # classes in the CSV, where there are so many
LISTED = 200           # images in the table; the CSV has all


def several(sorter: Sorter, files: Sequence[tuple[str, str]]) -> str:
    """HTML: what the net sees on each of `files`, (path, shown name), and a link to a CSV with the columns of `PredictionTable`.

    What is no image that can be used is named, with the reason, and is not in the CSV.
    """
    if not files:
        return ('<div class="answer empty quiet"><p>Choose several images: a table comes, and a CSV to keep.</p>'
                '<p lang="zh-CN">选择多张图片：会得到一张表格和一个可以保存的 CSV 文件。</p></div>')
    top_k, rows, refused = min(TOP_K, len(sorter.card.classes)), [], []
    sources = [(path, partial(_read, path, name, sorter.reading)) for path, name in files]
    with tempfile.TemporaryDirectory() as folder:
        table = PredictionTable(Path(folder) / "predictions.csv", top_k, one_line(sorter.name))
        table.begin()
        for (path, name), (_, found) in zip(files, sorter.predictor.predict_iter(sources, top_k)):
            if isinstance(found, ValueError):
                refused.append(f"<li>{html_text(str(found))}</li>")
                continue
            table.add(table.row(one_line(name), answer_of(found), found, sha256(path)))
            if len(rows) < LISTED:
                rows.append(_row(name, found))
        content = table.path.read_bytes()
    return (f'<div class="answer" role="status"><p>{_link(content)}</p>{_table(rows)}'
            + (f'<p>Not used <span lang="zh-CN">不能用</span>:</p><ul>{"".join(refused)}</ul>' if refused else "") + "</div>")


def _read(path, name, reading):
    """The encoded image in the file at `path`, which messages call `name`. Raises ValueError."""
    try:
        return whole_image(Path(path).read_bytes(), one_line(name), reading)
    except OSError as error:
        raise ValueError(f"{one_line(name)} cannot be read: {error.strerror}") from None


def _link(content):
    """The CSV within its link: no file of it stays here."""
    return (f'<a download="predictions.csv" href="data:text/csv;base64,{base64.b64encode(content).decode()}">'
            'predictions.csv <span lang="zh-CN">下载表格</span></a>')


def _table(rows):
    head = "".join(f'<th>{english} <span lang="zh-CN">{chinese}</span></th>' for english, chinese in (
        ("Image", "图片"), ("File", "文件"), ("Class", "类别"), ("Probability", "概率"), ("Bin", "分类")))
    return f'<div class="scrolled"><table><thead><tr>{head}</tr></thead><tbody>{"".join(rows)}</tbody></table></div>'


def _row(name, found):
    top, small = found[0], found.thumbnail()
    shown = ""
    if small is not None:  # the upload is still there
        small.thumbnail(THUMBNAIL)
        shown = jpeg_element(small, name)
    title = " ".join(filter(None, (top.name, top.chinese)))
    answer = f"<td>{escape(title)}</td>" if found.is_sure else f'<td class="doubt">Not sure 不确定: {escape(title)}?</td>'
    category = " ".join(filter(None, (top.category, top.category_chinese))) if found.is_sure else ""
    return (f"<tr><td>{shown}</td><td>{escape(one_line(name))}</td>{answer}"
            f'<td class="number">{top.probability:.1%}</td><td>{escape(category)}</td></tr>')
