"""Cross-validation: its result, the files about it, and its sections of report.html."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from html import escape
from pathlib import Path

import numpy as np

from mindclf.dataset import ImageSet, decode_image
from mindclf.label_issues import LabelIssue, find_label_issues
from mindclf.metrics import Metrics, compute_metrics, softmax, wilson_interval
from mindclf.utils.files import one_line, write_json, write_text
from mindclf.utils.html import html_text, jpeg_element

LISTED = 24      # label issues on the page
THUMBNAIL = 240  # pixels, the longer side
METRICS = ("top1", "balanced_accuracy", "macro_f1", "loss")
DEFINITION = ("An image is listed if it reaches the mean probability that images of another class have for their own, and if "
              "another class is more probable than its label: confident learning (arXiv:1911.00068). Each probability is of a "
              "net that was not trained on the image. Some listed labels are right: look at each before you move a file.")

FOLDS_TEXT = "Each net was trained without the images of its fold; images that show the same are in one fold."


@dataclass(frozen=True)
class CrossValidation:
    """Predictions of `images` (n), each by a net that was trained without its fold.

    `fold` (n,) is the fold of each image, from 0; `logits` are (n, classes).
    """

    images: ImageSet
    fold: np.ndarray
    logits: np.ndarray

    @cached_property
    def by_fold(self) -> list[Metrics]:
        """The metrics on the images of each fold."""
        labels = np.asarray(self.images.labels)
        return [compute_metrics(self.logits[self.fold == number], labels[self.fold == number], len(self.images.classes))
                for number in range(self.fold.max() + 1)]

    @cached_property
    def pooled(self) -> Metrics:
        """The metrics on all images together."""
        return compute_metrics(self.logits, np.asarray(self.images.labels), len(self.images.classes))

    @cached_property
    def issues(self) -> list[LabelIssue]:
        """The images whose label is probably wrong, see `find_label_issues`."""
        return find_label_issues(softmax(self.logits), np.asarray(self.images.labels))

    def summary(self) -> dict:
        """What the card keeps: mean and standard deviation (n - 1) over the folds of each metric, 95 % interval of top-1.

        The interval is Wilson's, of the accuracy on all images together: that of so many independent images. The folds' standard
        deviation is no error of the mean, for nets of different folds share most of their training images.
        """
        values = {name: [getattr(metrics, name) for metrics in self.by_fold] for name in METRICS}
        low, high = wilson_interval(round(self.pooled.top1 * self.pooled.images), self.pooled.images)
        return {"folds": len(self.by_fold), "images": self.pooled.images,
                "mean": {name: round(float(np.mean(of_folds)), 6) for name, of_folds in values.items()},
                "std": {name: round(float(np.std(of_folds, ddof=1)), 6) for name, of_folds in values.items()},
                "top1_interval": [round(low, 6), round(high, 6)], "label_issues": len(self.issues)}

    def described(self) -> str:
        """The summary in words."""
        summary = self.summary()
        low, high = summary["top1_interval"]
        return (f"top-1 {summary['mean']['top1']:.2%} +- {summary['std']['top1']:.2%} over {summary['folds']} folds of "
                f"{summary['images']:,} images, 95 % interval {low:.1%} to {high:.1%}")

    def issue_lines(self, most: int) -> list[str]:
        """A line for each of the first `most` label issues."""
        names = self.images.classes
        return [f"{_name(self.images, issue.index)}: {one_line(names[issue.given])} {issue.given_probability:.1%}, rather "
                f"{one_line(names[issue.suggested])} {issue.suggested_probability:.1%}" for issue in self.issues[:most]]


def write_cross_validation(folder: Path, result: CrossValidation) -> None:
    """Writes cross_validation.json, out_of_fold.csv (a row an image) and label_issues.csv (a row an issue) into `folder`.

    Files are named as they were read; an image of CIFAR-10, which is no file, by its number.
    """
    images, classes = result.images, result.images.classes
    probabilities, predicted = softmax(result.logits), result.logits.argmax(1)
    write_json(folder / "cross_validation.json", {
        **result.summary(), "classes": list(classes), "by_fold": [metrics.as_dict() for metrics in result.by_fold],
        "pooled": result.pooled.as_dict()})
    write_text(folder / "out_of_fold.csv", _table(
        ("file", "fold", "label", "predicted", "probability_of_label", "probability_of_predicted"),
        ((_path(images, index), result.fold[index] + 1, classes[label], classes[predicted[index]],
          f"{probabilities[index, label]:.6f}", f"{probabilities[index, predicted[index]]:.6f}")
         for index, label in enumerate(images.labels))))
    write_text(folder / "label_issues.csv", _table(
        ("file", "given_label", "suggested_label", "given_probability", "suggested_probability"),
        ((_path(images, issue.index), classes[issue.given], classes[issue.suggested], f"{issue.given_probability:.6f}",
          f"{issue.suggested_probability:.6f}") for issue in result.issues)))


def sections(result: CrossValidation) -> list[tuple[str, str]]:
    """(title, HTML) of the sections of report.html: the folds, and the labels that are probably wrong."""
    return [("Cross-validation", _folds(result)), ("Labels that are probably wrong", _issues(result))]


def _table(head: Sequence, rows) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(head)
    writer.writerows(rows)
    return text.getvalue()


def _path(images, index):
    """The path of an image; the number of one that is no file."""
    source = images.paths[index]
    return source.encode("utf-8", "backslashreplace").decode() if isinstance(source, str) else f"image {index}"


def _name(images, index):
    """Class folder and file name of an image, in one line."""
    source = images.paths[index]
    return one_line("/".join(Path(source).parts[-2:])) if isinstance(source, str) else f"image {index}"


def _folds(result):
    summary = result.summary()
    rows = [(str(number), metrics.images, *(getattr(metrics, name) for name in METRICS))
            for number, metrics in enumerate(result.by_fold, start=1)]
    rows += [("mean", "", *summary["mean"].values()), ("standard deviation", "", *summary["std"].values())]
    body = "\n".join(
        f'<tr><th>{html_text(name, words=True)}</th><td class="number">{images}</td>'
        + "".join(f'<td class="number">{value:.1%}</td>' for value in values[:-1])
        + f'<td class="number">{values[-1]:.3f}</td></tr>' for name, images, *values in rows)
    head = f"<th>{html_text('fold', words=True)}</th>" + "".join(
        f'<th class="number">{html_text(name, words=True)}</th>'
        for name in ("images", "top-1", "balanced accuracy", "macro F1", "loss"))
    return (f"<p>{html_text(f'{result.described()}.')} {html_text(FOLDS_TEXT)}</p>\n"
            f'<div class="wide"><table>\n<thead><tr>{head}</tr></thead>\n<tbody>\n{body}\n</tbody></table></div>')


def _issues(result):
    if not result.issues:
        return f"<p>{html_text('There are none.')}</p>"
    shown = result.issues[:LISTED]
    count = f"All {len(shown)}" if len(shown) == len(result.issues) else f"{len(shown)} of {len(result.issues)}"
    figures = "\n".join(_figure(result.images, issue) for issue in shown)
    listed = f"{count}, the most certain first; label_issues.csv has all."
    return (f"<p>{html_text(listed)} {html_text(DEFINITION)}</p>\n"
            f'<div class="mistakes">\n{figures}\n</div>')


def _figure(images, issue):
    image = decode_image(images.paths[issue.index], images.reading)
    image.thumbnail((THUMBNAIL, THUMBNAIL))
    name, given, suggested = _name(images, issue.index), *(images.classes[label] for label in (issue.given, issue.suggested))
    return (f"<figure>\n<div>{jpeg_element(image, name)}</div>\n"
            f'<figcaption>{html_text("labelled", words=True)} <b class="wrong">{escape(given)}</b> '
            f"{issue.given_probability:.1%}<br>\n"
            f"{html_text(f'rather {suggested} {issue.suggested_probability:.1%}')}<br>\n"
            f'<span class="quiet">{escape(name)}</span></figcaption>\n</figure>')
