"""Tables of classes in report.html: how each is recognised, and which are predicted as which."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

import numpy as np

from mindclf.labels import ClassLabel
from mindclf.metrics import Metrics, wilson_interval
from mindclf.utils.html import html_text

CONFUSIONS = 10  # pairs of classes shown at most
NUMBERS = ("images", "correct", "precision", "F1", "times", "of its images")  # columns that are set to the right


def class_table(metrics: Metrics, labels: Sequence[ClassLabel]) -> str:
    """A row for each class, that of the least F1 first: its images, how many of them are predicted correctly, recall with its
    95 % interval (see `wilson_interval`), precision, F1, and as what most of the others are predicted.
    """
    confusion = metrics.confusion
    has_chinese = any(label.chinese for label in labels)
    rows = []
    for index in metrics.by_f1():
        label, recall = labels[index], metrics.per_class[index]
        count, correct = confusion[index].sum(), confusion[index, index]
        others = np.where(np.arange(len(labels)) == index, 0, confusion[index])
        predicted_as = f"{labels[others.argmax()].name} ({others.max()})" if others.any() else ""
        bar, interval = html_text("no images"), ""
        if count:
            bar = f'<meter value="{recall:.4f}"></meter> {recall:.1%}'
            low, high = wilson_interval(int(correct), int(count))
            interval = html_text(f"{low:.0%} to {high:.0%}")
        others_of = (metrics.precision[index], metrics.f1[index])
        cells = "".join(f'<td class="number">{f"{value:.1%}" if value == value else ""}</td>' for value in others_of)
        rows.append(f"<tr><th>{escape(label.name)}</th>" + (f"<td>{escape(label.chinese)}</td>" if has_chinese else "")
                    + f'<td class="number">{count:,}</td><td class="number">{correct:,}</td><td>{bar}</td><td>{interval}</td>'
                      f"{cells}<td>{escape(predicted_as)}</td></tr>")
    return _table(["class", *(["in Chinese"] if has_chinese else []), "images", "correct", "recall", "95 % interval", "precision",
                   "F1", "mostly predicted as"], rows)


def confusions_table(confusion: np.ndarray, labels: Sequence[ClassLabel]) -> str:
    """The CONFUSIONS pairs of a true and a wrongly predicted class that are most frequent, of counts (true, predicted)."""
    wrong = np.where(np.eye(len(confusion), dtype=bool), 0, confusion)
    most = np.argsort(-wrong, axis=None, kind="stable")[:CONFUSIONS]
    rows = [f"<tr><th>{escape(labels[true].name)}</th><td>{escape(labels[predicted].name)}</td>"
            f'<td class="number">{wrong[true, predicted]:,}</td>'
            f'<td class="number">{wrong[true, predicted] / confusion[true].sum():.1%}</td></tr>'
            for true, predicted in zip(*np.unravel_index(most, wrong.shape)) if wrong[true, predicted]]
    if not rows:
        return ""
    title = html_text("The most frequent confusions:")
    return f"<p>{title}</p>\n" + _table(["true", "predicted", "times", "of its images"], rows)


def _table(head, rows):
    """A table that scrolls within its box where it is too wide."""
    number = ' class="number"'
    cells = "".join(f"<th{number * (name in NUMBERS)}>{html_text(name, words=True)}</th>" for name in head)
    body = "\n".join(rows)
    return f'<div class="wide"><table>\n<thead><tr>{cells}</tr></thead>\n<tbody>\n{body}\n</tbody></table></div>\n'
