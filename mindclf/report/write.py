"""Reports of a run or an evaluation: the files that show how good a checkpoint is."""

import numpy as np

from mindclf.inference.features import features_of
from mindclf.report import plots
from mindclf.report.components import principal_components
from mindclf.report.cross_validation import write_cross_validation
from mindclf.report.html import page
from mindclf.utils.files import write_json, write_text

MAPPED = 500  # images in map.png, spread evenly: their features are computed for it


def write_report(output, measured, config):
    """Writes report.json, report.html and plots about `measured`, a `Measured`, into the folder `output`.

    The plots are classes.png, confusion.png, coverage.png and predictions.png; if it has a history, curves.png; and map.png, of
    up to MAPPED images, but for exported files, which have no features. predictions.png has config.grid_rows rows of
    config.grid_columns images. report.html (see `page`) has everything but that grid in one file, and the worst mistakes with
    their heatmaps. If it has folds, `write_cross_validation` writes what is known of them.
    """
    images, result = measured.images, measured.metrics
    output.mkdir(parents=True, exist_ok=True)
    write_json(output / "report.json", {"classes": list(images.classes), **result.as_dict(), "selective": measured.selective})
    plots.confusion_matrix(result.confusion, images.classes, output / "confusion.png")
    plots.class_accuracy(result.per_class, images.classes, output / "classes.png")
    plots.prediction_grid(images, measured.probabilities, output / "predictions.png", config.grid_rows, config.grid_columns)
    plots.coverage_curve(measured.probabilities, images.labels, output / "coverage.png", measured.selective.get("threshold"),
                         measured.unknown)
    if measured.has_gradients:
        _write_map(output / "map.png", measured, config.eval_batch_size)
    if measured.history:
        plots.training_curves(measured.history, output / "curves.png")
    if measured.folds:
        write_cross_validation(output, measured.folds)
    write_text(output / "report.html", page(measured, output))


def _write_map(path, measured, batch_size):
    """The test images in the plane of the first two principal components of their features."""
    count = len(measured.images)
    chosen = np.linspace(0, count - 1, min(count, MAPPED)).round().astype(int)
    features = features_of(measured.net, measured.images.take(chosen), measured.card.preprocessing, batch_size)
    points, explained = principal_components(features)
    labels = np.asarray(measured.images.labels)[chosen]
    plots.feature_map(points, explained, labels, measured.logits[chosen].argmax(1) != labels, measured.images.classes, path)
