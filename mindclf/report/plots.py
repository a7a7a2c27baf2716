"""Images of what happened. Each function writes one PNG; none of them needs a display."""

import functools
import math
import warnings
from pathlib import Path

import matplotlib
import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, MaxNLocator, NullLocator

from mindclf.dataset import decode_image
from mindclf.metrics import error_over_coverage
from mindclf.report.fonts import families, warn_of_boxes
from mindclf.report.history import shown_name
from mindclf.utils.files import replacing
from mindclf.utils.language import CHINESE, language, translate

MOST_NAMED = 120  # classes that a plot has names of
MOST_IN_LEGEND = 30
INCHES_PER_LETTER = 0.075  # of the titles in a grid
EXPLAINED_PIXELS = 1024    # the longer side of an explained image


def any_name(plot):
    """Has `plot` show class names in any alphabet, as far as the machine has a font for it, and dollar signs as they are."""
    @functools.wraps(plot)
    def plot_with_fonts(*arguments, **options):
        settings = {"font.family": list(families()), "text.parse_math": False}
        with matplotlib.rc_context(settings), warnings.catch_warnings(record=True) as said:
            warnings.simplefilter("always")
            plot(*arguments, **options)
        if any("missing from font" in str(warning.message) for warning in said):
            warn_of_boxes()
    return plot_with_fonts


def training_curves(history, path):
    """Loss, accuracy and learning rate against the epoch; `history` has a row an epoch, phases divided by dotted lines."""
    epochs = np.arange(1, len(history) + 1)
    column = {name: np.array([row[name] for row in history]) for name in history[0]}
    monitored = shown_name(history[0]["watched"])
    figure = Figure(figsize=(12, 3.5), layout="constrained")
    loss, accuracy, rate = figure.subplots(1, 3)
    loss.plot(epochs, column["train_loss"], ".-", label="training batches, as augmented")
    loss.plot(epochs, column["loss"], ".-", label=monitored)
    loss.set(title="Loss", ylabel="cross-entropy")
    accuracy.plot(epochs, 100 * column["train_top1"], ".-", label="training, top-1")
    accuracy.plot(epochs, 100 * column["top1"], ".-", label=f"{monitored}, top-1")
    accuracy.plot(epochs, 100 * column["top5"], ".-", label=f"{monitored}, top-5")
    accuracy.set(title="Accuracy", ylabel="%")
    rate.plot(epochs, column["learning_rate"], ".-")
    rate.set(title="Learning rate at the end of the epoch")
    for axis in (loss, accuracy):
        axis.legend()
    for axis in (loss, accuracy, rate):
        axis.set_xlabel("epoch")
        axis.grid(alpha=0.3)
        for boundary in np.flatnonzero(np.diff(column["phase"])):
            axis.axvline(boundary + 1.5, color="grey", linestyle=":")
    _save(figure, path)


def range_test(test, path):
    """The loss of each step of a RangeTest against its learning rate, as it was and smoothed; the rate that is suggested."""
    figure = Figure(figsize=(7, 4.5), layout="constrained")
    axis = figure.subplots()
    smoothed, lowest = test.smoothed, test.lowest
    axis.plot(test.rates, test.losses, ".", color="grey", alpha=0.4, label="loss of a step")
    axis.plot(test.rates, smoothed, label="smoothed")
    axis.plot(test.rates[lowest], smoothed[lowest], "o", color="C3", label=f"lowest, at {test.rates[lowest]:.2g}")
    if test.suggestion:
        axis.axvline(test.suggestion, color="C2", linestyle="--", label=f"suggested lr_max, {test.suggestion:.2g}")
    axis.set(title=f"Learning-rate range test, {test.optimizer}, {test.images} images a step", xlabel="learning rate",
             ylabel="training loss", xscale="log", ylim=(0, min(test.losses.max(), 2 * smoothed[0]) * 1.05))
    axis.legend()
    axis.grid(alpha=0.3)
    _save(figure, path)


@any_name
def comparison(rows, histories, path):
    """What `compare` found: validation accuracy against the epoch, and test accuracy against parameters, MACs and seconds.

    `rows` are those of `compare`; `histories` has for each variant the history of each seed. Lines and dots are means over
    seeds; bands and bars reach from the least to the greatest.
    """
    figure = Figure(figsize=(13, 8), layout="constrained")
    curves, *scatters = figure.subplots(2, 2).ravel()
    sizes = np.array([(row["parameters"] / 1e6, row["macs"] / 1e6, row["mean_seconds"]) for row in rows])
    middles = np.sqrt(sizes.min(0) * sizes.max(0))  # on a logarithmic axis
    for row, values in zip(rows, sizes):
        runs = histories[row["variant"]]
        shortest = min(map(len, runs))  # the others may have stopped early later
        top1 = np.array([[100 * epoch["top1"] for epoch in history[:shortest]] for history in runs])
        epochs = np.arange(1, top1.shape[1] + 1)
        line, = curves.plot(epochs, top1.mean(0), label=f"{row['variant']} ({len(runs)} seed{'s' if len(runs) > 1 else ''})")
        curves.fill_between(epochs, top1.min(0), top1.max(0), alpha=0.2, color=line.get_color())
        mean = 100 * row["mean_top1"]
        spread = [[mean - 100 * min(row["top1"])], [100 * max(row["top1"]) - mean]]
        for axis, value, middle in zip(scatters, values, middles):
            axis.errorbar(value, mean, yerr=spread, fmt="o", capsize=3, color=line.get_color())
            side, offset = ("right", -6) if value > middle else ("left", 6)  # inwards, or the name might reach out of the axes
            axis.annotate(row["variant"], (value, mean), xytext=(offset, 4), ha=side, textcoords="offset points", fontsize=8)
    monitored = shown_name(next(iter(histories.values()))[0][0]["watched"])
    curves.set(title=f"Accuracy on {monitored} images, mean and range over seeds", xlabel="epoch", ylabel="top-1, %")
    curves.legend()
    labels = ("parameters, millions", "multiply-accumulates of an image, millions", "seconds of training")
    for axis, label in zip(scatters, labels):
        axis.set(title="Test accuracy, mean and range over seeds", xlabel=label, ylabel="top-1, %", xscale="log")
        axis.margins(x=0.25, y=0.15)
        low, high = axis.get_xlim()
        axis.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)) if high > 5 * low else MaxNLocator(4))
        axis.xaxis.set_major_formatter("{x:g}")  # Matplotlib's own writes formulas, which `any_name` turns off
        axis.xaxis.set_minor_locator(NullLocator())
    for axis in (curves, *scatters):
        axis.grid(alpha=0.3)
    _save(figure, path)


@any_name
def confusion_matrix(confusion, classes, path):
    """Counts of predicted (columns) against true (rows) classes; what lies off the diagonal is red.

    Of more than MOST_NAMED classes only the colours: the names of a thousand would take an image of gigabytes.
    """
    named = len(classes) <= MOST_NAMED
    size = max(5, 0.36 * len(classes) + 2.5) if named else 12
    figure = Figure(figsize=(size, size), layout="constrained")
    axis = figure.subplots()
    axis.imshow(confusion, cmap="Greens", vmin=0, vmax=max(1, confusion.max()))
    for true, predicted in zip(*np.nonzero(confusion)) if named else ():
        right = true == predicted
        dark = confusion[true, predicted] > 0.6 * confusion.max()
        axis.text(predicted, true, confusion[true, predicted], ha="center", va="center", fontsize=8,
                  fontfamily="DejaVu Sans",  # has bold digits, which a font for Chinese may lack
                  color=("white" if dark else "black") if right else ("mistyrose" if dark else "red"),
                  fontweight="normal" if right else "bold")
    if named:
        axis.set_xticks(range(len(classes)), classes, rotation=90, fontsize=8)
        axis.set_yticks(range(len(classes)), classes, fontsize=8)
    axis.set(xlabel="predicted", ylabel="true",
             title=f"{confusion.diagonal().sum()} of {confusion.sum()} images right")
    _save(figure, path)


@any_name
def class_accuracy(per_class, classes, path):
    """A bar for each class: the share of its images that are right, 0 to 1 or NaN for a class without images.

    Of more than MOST_NAMED classes the worst.
    """
    percent = 100 * np.asarray(per_class)
    mean, shown = np.nanmean(percent), f"Accuracy of each class; dotted: their mean, {np.nanmean(percent):.1f} %"
    if len(classes) > MOST_NAMED:
        worst = np.argsort(percent, kind="stable")[:MOST_NAMED]
        shown = f"The {MOST_NAMED} worst of {len(classes)} classes; dotted: the mean of all, {mean:.1f} %"
        percent, classes = percent[worst], [classes[index] for index in worst]
    figure = Figure(figsize=(7, 0.26 * len(classes) + 1.1), layout="constrained")
    axis = figure.subplots()
    axis.barh(range(len(classes)), np.nan_to_num(percent), color="tab:green")
    for place, value in enumerate(percent):
        axis.text(110, place, "no images" if np.isnan(value) else f"{value:.1f}", ha="right", va="center", fontsize=8)
    axis.axvline(mean, color="grey", linestyle=":")
    axis.set_yticks(range(len(classes)), classes, fontsize=8)
    axis.set_ylim(len(classes) - 0.4, -0.6)  # the first class on top
    axis.set(xlim=(0, 112), xticks=range(0, 101, 20), xlabel="% of the class's images that are right",
             title=shown)
    _save(figure, path)


def coverage_curve(probabilities, labels, path, threshold=None, unknown=None):
    """Accuracy on the most confident images against how many they are, and how confident images are.

    `probabilities` are (n, classes), `labels` (n,). Where there is a `threshold`, a dotted line; `unknown` (m,) are the largest
    probabilities of images of no class.
    """
    confidence, correct = probabilities.max(1), probabilities.argmax(1) == np.asarray(labels)
    coverage, errors, _ = error_over_coverage(confidence, correct)
    figure = Figure(figsize=(10, 3.6), layout="constrained")
    curve, counts = figure.subplots(1, 2)
    curve.step(100 * coverage, 100 * (1 - errors), where="mid")
    curve.set(title="Accuracy over coverage", xlabel="% of the images, the most confident first", ylabel="% of those correct",
              xlim=(0, 101))
    groups = {"correct": (confidence[correct], "tab:green"), "wrong": (confidence[~correct], "tab:red")}
    if unknown is not None:
        groups["of no class"] = (unknown, "tab:grey")
    for name, (values, colour) in groups.items():
        weights = np.full(len(values), 100 / max(len(values), 1))
        counts.hist(values, np.linspace(0, 1, 21), weights=weights, histtype="step", color=colour, linewidth=1.6,
                    label=f"{translate(name, words=True)} ({len(values):,})")
    counts.set(title="Confidence", xlabel="largest probability", ylabel="% of these images", xlim=(0, 1))
    if threshold is not None:
        sure = (confidence >= threshold).mean()
        curve.axvline(100 * sure, color="black", linestyle=":", label=f"threshold: sure of {sure:.1%}")
        counts.axvline(threshold, color="black", linestyle=":", label=f"threshold: {threshold:.1%}")
        curve.legend()
    counts.legend(loc="upper left")
    for axis in (curve, counts):
        axis.grid(alpha=0.3)
    _save(figure, path)


@any_name
def feature_map(points, explained, labels, wrong, classes, path):
    """The images as `points` (n, 2) in the colours of their classes, `labels` (n,); those that are `wrong` (n,) have a ring.

    `explained` (2,) is the fraction of the features' variance along each axis. The first MOST_IN_LEGEND classes have their names
    beside it.
    """
    figure = Figure(figsize=(10, 6.5), layout="constrained")
    axis = figure.subplots()
    present = np.unique(labels)
    colours = matplotlib.colormaps["tab20" if len(present) <= 20 else "turbo"](np.linspace(0, 1, max(len(present), 2)))
    for label, colour in zip(present, colours):
        chosen = labels == label
        axis.scatter(*points[chosen].T, s=22, color=colour, label=classes[label] if label in present[:MOST_IN_LEGEND] else None)
    if wrong.any():
        axis.scatter(*points[wrong].T, s=70, facecolors="none", edgecolors="black", linewidths=1.1, label="predicted wrongly")
    axis.set(title=f"{len(points):,} test images by their features", xticks=[], yticks=[],
             xlabel=f"first principal component, {explained[0]:.0%} of the variance",
             ylabel=f"second, {explained[1]:.0%} of the variance")
    figure.legend(loc="outside right upper", fontsize=8)
    _save(figure, path)


@any_name
def image_grid(images, path, rows=2, columns=6):
    """Up to rows x columns of `images`, spread evenly, titled with their classes."""
    chosen = _spread(images, rows * columns)
    titles = [images.classes[images.labels[index]] for index in chosen]
    _grid(_decoded(images, chosen), titles, ["black"] * len(titles), path, columns)


@any_name
def titled_grid(pixels, titles, path, columns=6):
    """The images `pixels`, uint8 (N, height, width, 3), each under its title."""
    _grid(pixels, titles, ["black"] * len(titles), path, columns)


@any_name
def prediction_grid(images, probabilities, path, rows=4, columns=6):
    """Up to rows x columns of `images`, spread evenly, titled with the prediction: green if right, red with the truth if wrong.

    `probabilities` are (n, classes), one row for each of `images`.
    """
    chosen = _spread(images, rows * columns)
    titles, right = zip(*(_title(images, row, index) for row, index in zip(probabilities[chosen], chosen)))
    _grid(_decoded(images, chosen), titles, ["green" if is_right else "red" for is_right in right], path, columns)


@any_name
def explanation(explained, path):
    """An image, and beside it the same under the heatmap of `explained`, an Explanation.

    The title has the class, its Chinese name and its probability.
    """
    small, prediction = explained.shrunk(EXPLAINED_PIXELS), explained.prediction
    title = " ".join(filter(None, (prediction.name, prediction.chinese, f"{prediction.probability:.1%}")))
    panel = 4 * min(max(small.image.width / small.image.height, 0.6), 2.5)  # inches
    figure = Figure(figsize=(max(2 * panel + 0.4, 2 * INCHES_PER_LETTER * len(title)), 4.7), layout="constrained")
    figure.suptitle(title)
    panels = {"the image": small.image, "red speaks most for that,\ndark was not seen": small.overlay}
    for axis, (label, image) in zip(figure.subplots(1, 2), panels.items()):
        axis.imshow(image)
        axis.set_title(label, fontsize=9)
        axis.axis("off")
    _save(figure, path)


def _spread(images, most):
    """The indices of `most` of the images, or of all if there are fewer, spread evenly."""
    return np.linspace(0, len(images) - 1, min(len(images), most)).round().astype(int)


def _decoded(images, chosen):
    return (decode_image(images.paths[index], images.reading) for index in chosen)


def _grid(shown, titles, colours, path, columns):
    longest = max(len(line) for title in titles for line in title.splitlines())
    cell = max(1.5, INCHES_PER_LETTER * longest)
    rows = math.ceil(len(titles) / columns)
    figure = Figure(figsize=(cell * columns, (cell + 0.35) * rows), layout="constrained")
    axes = figure.subplots(rows, columns, squeeze=False).ravel()
    for axis in axes:
        axis.axis("off")
    for axis, image, title, colour in zip(axes, shown, titles, colours):
        axis.imshow(image)
        axis.set_title(title, fontsize=9, color=colour)
    _save(figure, path, dpi=80)


def _title(images, probabilities, index):
    """(title, whether the prediction is right) of one image."""
    predicted, true = probabilities.argmax(), images.labels[index]
    title = f"{images.classes[predicted]} {probabilities[predicted]:.0%}"
    return title if predicted == true else f"{title}\n(is {images.classes[true]})", predicted == true


def _save(figure, path, dpi=100):
    """Writes `figure`, in the language in force, to `path`, where it is whole or not there."""
    if language() == CHINESE:
        _translate(figure)
    with replacing(Path(path)) as file:
        figure.savefig(file, dpi=dpi)


def _translate(figure):
    """Translates titles, labels and legends; single words only where they are ours.

    Titles of images, texts inside of a plot and a figure's own legend, that of `feature_map`, have names of classes or variants.
    """
    texts = [(text, False) for legend in figure.legends for text in legend.get_texts()]
    for axis in figure.axes:
        legend = axis.get_legend()
        texts += [(text, False) for text in axis.texts]
        texts += [(text, axis.axison) for text in (axis.title, axis.xaxis.label, axis.yaxis.label,
                                                   *(legend.get_texts() if legend else ()))]
    for text, words in texts:
        chinese = translate(text.get_text(), words)
        if not chinese.isascii():
            text.set(text=chinese, fontfamily=list(families()))
