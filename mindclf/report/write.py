"""Reports of a run or an evaluation: the files that show how good a checkpoint is."""

from mindclf.report import plots
from mindclf.report.html import page
from mindclf.utils.files import write_json, write_text


def write_report(output, measured, config):
    """Writes report.json, report.html and four plots about `measured`, a `Measured`, into the folder `output`.

    They are classes.png, confusion.png, coverage.png and predictions.png; and curves.png, if it has a history. predictions.png
    has config.grid_rows x config.grid_columns of the images. report.html (see `page`) has everything but that grid in one file,
    and the worst mistakes with their heatmaps.
    """
    images, result = measured.images, measured.metrics
    output.mkdir(parents=True, exist_ok=True)
    write_json(output / "report.json", {"classes": list(images.classes), **result.as_dict(), "selective": measured.selective})
    plots.confusion_matrix(result.confusion, images.classes, output / "confusion.png")
    plots.class_accuracy(result.per_class, images.classes, output / "classes.png")
    plots.prediction_grid(images, measured.probabilities, output / "predictions.png", config.grid_rows, config.grid_columns)
    plots.coverage_curve(measured.probabilities, images.labels, output / "coverage.png", measured.selective.get("threshold"),
                         measured.unknown)
    if measured.history:
        plots.training_curves(measured.history, output / "curves.png")
    write_text(output / "report.html", page(measured, output))
