"""HTML report: how good a checkpoint is, report.html, one page for a browser that asks for nothing outside of itself."""

import functools
from dataclasses import dataclass
from html import escape
from pathlib import Path

import numpy as np
from mindspore import nn

from mindclf import __version__
from mindclf.calibration import Calibration, described, selective_metrics
from mindclf.card import Card
from mindclf.dataset import ImageSet, decode_image
from mindclf.explain import explanations
from mindclf.metrics import Metrics, wilson_interval
from mindclf.report.classes import class_table, confusions_table
from mindclf.report.cross_validation import CrossValidation
from mindclf.report.cross_validation import sections as folds_sections
from mindclf.summary import count_parameters
from mindclf.utils.files import one_line
from mindclf.utils.html import html_text, image_element, jpeg_element
from mindclf.utils.language import CHINESE, ENGLISH, language

LANGUAGE_TAGS = {ENGLISH: "en", CHINESE: "zh-CN"}  # of HTML
MISTAKES = 12    # shown at most
THUMBNAIL = 240  # pixels, the longer side
MAP_TEXT = ("Images that the net sees alike lie close together: its features, brought down to the two directions in which "
            "they vary most (PCA). Rings mark wrong predictions.")
CONFUSION_TEXT = "confusion.png, in the folder of this page, has the matrix in full size."

STYLE = """
:root { color-scheme: light; }
body { font: 15px/1.5 system-ui, "Noto Sans", "Noto Sans CJK SC", sans-serif; color: #1d2522; background: #fff;
       max-width: 1240px; margin: 2rem auto; padding: 0 1.5rem; }
h1 { font-size: 1.7rem; line-height: 1.2; margin: 0; }
h1, p { overflow-wrap: anywhere; }
h2 { font-size: 1.2rem; margin: 2.5rem 0 .8rem; padding-bottom: .3rem; border-bottom: 1px solid #d9e0dc; }
.quiet { color: #5c6a64; }
.tiles { display: flex; flex-wrap: wrap; gap: 1rem; margin: 1.5rem 0; }
.tiles div { background: #f1f5f3; border-radius: 8px; padding: .6rem 1.4rem; min-width: 5rem; }
.tiles b { display: block; font-size: 1.7rem; font-variant-numeric: tabular-nums; }
table { border-collapse: collapse; }
th, td { text-align: left; vertical-align: top; padding: .25rem 1.1rem .25rem 0; border-bottom: 1px solid #e8edea; }
thead th { border-bottom: 2px solid #b9c5bf; }
tbody th { font-weight: normal; white-space: nowrap; }
.number { text-align: right; font-variant-numeric: tabular-nums; }
td { overflow-wrap: anywhere; }
meter { width: 7rem; }
.plot { margin-top: 1rem; }
.plot img { max-width: 100%; height: auto; }
.wide { overflow: auto; }
.wide th, .wide td { white-space: nowrap; }
.mistakes { display: grid; grid-template-columns: repeat(auto-fill, minmax(min(330px, 100%), 1fr)); gap: 1.2rem; }
figure { margin: 0; padding: .7rem; border: 1px solid #d9e0dc; border-radius: 8px; overflow-wrap: anywhere; }
figure div { display: flex; gap: .5rem; margin-bottom: .5rem; }
figure img { width: calc(50% - .25rem); height: 160px; object-fit: contain; background: #f1f5f3; }
.wrong { color: #b3261e; }
@media (max-width: 700px) {
  body { margin: 1rem auto; padding: 0 1rem; }
  .tiles { gap: .6rem; }
  .tiles div { padding: .4rem .8rem; }
  th, td { padding-right: .8rem; }
}
"""


@dataclass(frozen=True)
class Measured:
    """A checkpoint, or what was exported of one, and how it did on images: what a report tells of."""

    file: Path
    net: nn.Cell        # None for an exported file, which has no gradients for Grad-CAM
    card: Card
    origin: str         # of the images, in words
    images: ImageSet
    logits: np.ndarray  # (images, classes)
    metrics: Metrics
    history: list       # of the training, a row an epoch; empty if it is not known
    calibration: Calibration | None = None  # None is the card's
    unknown: np.ndarray | None = None       # (m,) largest probabilities of images of no class, where there are such
    folds: CrossValidation | None = None  # of a run with folds

    @property
    def has_gradients(self):
        """Whether Grad-CAM can say what the net looked at."""
        return self.net is not None

    @functools.cached_property
    def probabilities(self):
        """(images, classes), as the card calibrates them."""
        return (self.calibration or self.card.calibration).probabilities(self.logits)

    @functools.cached_property
    def selective(self):
        """What `selective_metrics` tells."""
        return selective_metrics(self.probabilities, np.asarray(self.images.labels), self.calibration or self.card.calibration,
                                 self.unknown)


def page(measured, folder):
    """The page, a text in HTML, for the plots in `folder`: confusion.png, coverage.png, map.png and, of a history, curves.png.

    It shows the metrics, what the card tells, the plots, each class, which are confused most, and up to MISTAKES images that the
    net is most confidently wrong about, with the heatmap by Grad-CAM of the class that it predicted. Images are small JPEGs
    inside the page. All texts that come from outside, such as names of classes and files, are escaped; the page forbids the
    browser to load anything.
    """
    metrics = measured.metrics
    title = html_text(f"{measured.card.net} on {measured.origin}")
    sections = [_section("Checkpoint" if measured.has_gradients else "Exported file", _facts(measured))]
    if measured.history:
        sections.append(_section("Training", _png(folder / "curves.png", "loss, accuracy and learning rate by epoch")))
    sections += [
        _section("Classes", class_table(metrics, measured.card.labels)),
        _section("Confusion", confusions_table(metrics.confusion, measured.card.labels)
                 + f'<p class="quiet">{html_text(CONFUSION_TEXT)}</p>'
                 + _png(folder / "confusion.png", "counts of predicted classes for each true class")),
        _section("Not sure", _doubts(measured) + _png(folder / "coverage.png", "accuracy on the most confident images")),
        *([_section("Map", f"<p>{html_text(MAP_TEXT)}</p>\n"
                    + _png(folder / "map.png", "images by the first two principal components"))]
          if measured.has_gradients else []),
        _section("The most confident mistakes", _mistakes(measured)),
    ]
    sections += [_section(*titled) for titled in folds_sections(measured.folds)] if measured.folds else []
    low, high = wilson_interval(round(metrics.top1 * metrics.images), metrics.images)
    interval = html_text(f"95 % interval {low:.1%} to {high:.1%}")
    shown = [(f"top-1<br><small>{interval}</small>", f"{metrics.top1:.1%}"),
             *((html_text(name, words=True), value) for name, value in (
                 ("top-5", f"{metrics.top5:.1%}"), ("balanced accuracy", f"{metrics.balanced_accuracy:.1%}"),
                 ("macro F1", f"{metrics.macro_f1:.1%}"), ("loss", f"{metrics.loss:.3f}"),
                 ("test images", f"{metrics.images:,}")))]
    tiles = "".join(f"<div><b>{value}</b>{name}</div>" for name, value in shown)
    return f"""<!DOCTYPE html>
<html lang="{LANGUAGE_TAGS[language()]}">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; img-src data:; style-src 'unsafe-inline'">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<style>{STYLE}</style>
</head>
<body>
<h1>{title}</h1>
<p class="quiet">{escape(one_line(measured.file.as_posix()))}</p>
<div class="tiles">{tiles}</div>
{"".join(sections)}
<p class="quiet">{html_text(f"Written by mindclf {__version__}.")}</p>
</body>
</html>
"""


def confident_mistakes(probabilities, labels):
    """The indices of the images whose most probable class is not that of `labels`, the most confident of them first."""
    wrong = np.flatnonzero(probabilities.argmax(1) != np.asarray(labels))
    return wrong[np.argsort(-probabilities[wrong].max(1), kind="stable")]


def _section(title, content):
    return f"<section>\n<h2>{html_text(title, words=True)}</h2>\n{content}\n</section>\n"


def _facts(measured):
    """What the card tells, without what it does not have: that of a tutorial's checkpoint has little."""
    card = measured.card
    data, device, size = card.data, card.get("device", {}), card.preprocessing.size
    out_of_fold, calibration = card.get("metrics", {}).get("out of fold", {}), card.get("calibration", {})
    options = ", ".join(f"{name}={value}" for name, value in card.net_options.items())
    facts = {
        "net": card.net + (f" ({options})" if options else ""),
        "parameters": f"{count_parameters(measured.net.get_parameters())[0]:,}" if measured.has_gradients else None,
        "input": f"{size[0]} x {size[1]} pixels, {len(card.classes)} classes",
        "trained on": (f"{data['origin']}: {data['train']:,} training and {data['held_out']:,} validation images"
                       if {"origin", "train", "held_out"} <= data.keys() else data.get("name")),
        "started from": card.get("start"),
        "weights": card.get("chosen"),
        "stopped early": "; ".join("phase {phase} after epoch {epoch} of {planned_epochs}".format(**stop)
                                   for stop in card.get("stopped_early", ())),
        "cross-validation": (f"{out_of_fold['top1']:.1%} of {out_of_fold['images']:,} images, each predicted by a head that had "
                             f"not seen it" if {"top1", "images"} <= out_of_fold.keys() else None),
        "not sure": described(card.get("calibration", {})),
        "temperature": (f"{calibration['temperature']:.3f}; expected calibration error on {calibration['of']} "
                        f"{calibration['ece_before']:.1%} without it, {calibration['ece_after']:.1%} with it"
                        if {"temperature", "of", "ece_before", "ece_after"} <= calibration.keys() else None),
        "seed": card.get("seed"),
        "command": card.get("command"),
        "trained for": f"{card['seconds']:,.0f} s" if "seconds" in card else None,
        "speed": "; ".join(f"phase {phase['phase']}: {phase['images_per_second']:,} images/s, {phase['data_share']:.1%} of the "
                           f"time waiting for them" for phase in card.get("speed", ())),
        "device": (f"{device['target']}, {device['processor']}, {device['cores']} cores"
                   if {"target", "processor", "cores"} <= device.keys() else None),
        "versions": ", ".join(f"{name} {version}" for name, version in card.get("versions", {}).items()),
    }
    rows = "\n".join(f"<tr><th>{html_text(name, words=True)}</th><td>{html_text(one_line(fact))}</td></tr>"
                     for name, fact in facts.items() if fact not in (None, ""))
    return f"<table><tbody>\n{rows}\n</tbody></table>"


def _doubts(measured):
    """What the threshold does to these images, and to those of no class."""
    found = measured.selective
    told = [f"Expected calibration error {found['ece']:.1%}."]
    if "threshold" in found:
        correct = "" if found["accuracy"] is None else f", and {found['accuracy']:.1%} of those are correct"
        told.append(f"At a probability of {found['threshold']:.1%} or more the net is sure: of {found['coverage']:.1%} of the "
                    f"images{correct}.")
    if "unknown" in found:
        others = found["unknown"]
        told.append(f"Of {others['images']:,} images of other things {others['taken_for_a_class']:,} are taken for a class; "
                    f"AUROC {others['auroc']:.3f}.")
    return f"<p>{' '.join(map(html_text, told))}</p>\n"


def _mistakes(measured):
    wrong = confident_mistakes(measured.probabilities, measured.images.labels)
    if not len(wrong):
        return f"<p>{html_text('There are none: every prediction is correct.')}</p>"
    shown = wrong[:MISTAKES]
    predicted = measured.probabilities[shown].argmax(1)
    figures = "\n".join(
        _mistake(measured, images, index, target, probabilities) for images, index, target, probabilities
        in zip(_thumbnails(measured, shown, predicted), shown, predicted, measured.probabilities[shown]))
    count = f"All {len(wrong)}" if len(wrong) == len(shown) else f"{len(shown)} of {len(wrong)}"
    heatmap = ("To the right of each image is its heatmap by Grad-CAM (arXiv:1610.02391): what is red spoke most for the wrong "
               "class; what is dark the net did not see." if measured.has_gradients else
               "Their heatmaps by Grad-CAM are in the report of the checkpoint only: an exported file has no gradients.")
    return f'<p>{html_text(f"{count}.")} {html_text(heatmap)}</p>\n<div class="mistakes">\n{figures}\n</div>'


def _thumbnails(measured, indices, predicted):
    """Yields the images to show of each of the images: itself and, where the net has gradients, its heatmap."""
    images, card = measured.images.take(indices), measured.card
    if measured.has_gradients:
        for explanation in explanations(measured.net, card.preprocessing, card.labels, images, predicted):
            small = explanation.shrunk(THUMBNAIL)
            yield small.image, small.overlay
        return
    for source in images.paths:
        image = decode_image(source, images.reading)
        image.thumbnail((THUMBNAIL, THUMBNAIL))
        yield image,


def _mistake(measured, images, index, predicted, probabilities):
    true, source = measured.images.labels[index], measured.images.paths[index]
    prediction, truth = (_named(measured.card.labels[label]) for label in (predicted, true))
    name = one_line(Path(source).name) if isinstance(source, str) else f"image {index}"
    shown = "".join(jpeg_element(image, text) for image, text in zip(images, (name, f"heatmap of {prediction}")))
    return (f"<figure>\n<div>{shown}</div>\n"
            f'<figcaption><b class="wrong">{escape(prediction)}</b> {probabilities[predicted]:.1%}<br>\n'
            f"{html_text(f'is {truth}, {probabilities[true]:.1%}')}<br>\n"
            f'<span class="quiet">{escape(name)}</span></figcaption>\n</figure>')


def _named(label):
    """A class with its Chinese name, where there is one."""
    return " ".join(filter(None, (label.name, label.chinese)))


def _png(path, alt):
    return f'<div class="plot">{image_element(path.read_bytes(), "png", alt)}</div>'
