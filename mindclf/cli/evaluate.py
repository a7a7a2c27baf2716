"""mindclf eval: how good a checkpoint is on test images."""

import contextlib
from pathlib import Path

from mindclf.cli.arguments import (
    add_checkpoint,
    add_device,
    add_fields,
    add_mirror,
    add_threshold,
    fields_and_paths,
    set_checkpoint,
)
from mindclf.cli.checkpoint import checkpoint_of
from mindclf.cli.text import print_json, print_table, say

HELP = "measure a checkpoint on the test images"


def add_arguments(parser, recipe):
    parser.usage = "%(prog)s [options] [CHECKPOINT] [field=value ...]"
    add_fields(parser)
    add_checkpoint(parser, recipe)
    add_device(parser)
    parser.add_argument("--report", metavar="FOLDER",
                        help="write report.html, report.json, classes.png, confusion.png, coverage.png, map.png, predictions.png "
                             "there, and, where history.csv lies beside the checkpoint, curves.png")
    add_mirror(parser)
    add_threshold(parser)
    parser.add_argument("--unknown", metavar="FOLDER",
                        help="images of other things: say how many of them are taken for a class")
    parser.add_argument("--json", action="store_true", help="print the report as JSON")


def sort_words(arguments, parser, is_recipe):
    arguments.fields, checkpoints = fields_and_paths(arguments.words)
    set_checkpoint(arguments, parser, checkpoints)


def run(arguments, config, is_recipe):
    from mindclf.device import use_device
    from mindclf.evaluation import evaluate_on
    from mindclf.report.write import write_report
    from mindclf.utils.claim import claimed
    from mindclf.utils.files import one_line

    use_device(config.device_target)
    with claimed(arguments.report) if arguments.report else contextlib.nullcontext():
        found = evaluate_on(checkpoint_of(arguments, config, is_recipe), config, arguments.mirror,
                            arguments.unknown, arguments.threshold)
        if arguments.report:
            write_report(Path(arguments.report), found.measured(), config)
    metrics, classes, chosen = found.metrics, found.card.classes, found.chosen
    if arguments.json:
        left_out = {"trained_on": chosen.trained_on, "validation": chosen.validation}
        print_json({"data": found.origin, "classes": classes, "left_out": left_out, **metrics.as_dict(),
                    "selective": found.selective})
        return 0
    imbalance = metrics.imbalance(classes)
    say(f"{_measured(chosen, metrics.images, f'{found.origin} ({one_line(found.folder.as_posix())})')}{_left_out(chosen)}\n"
        f"top-1 {metrics.top1:.2%}  top-5 {metrics.top5:.2%}  loss {metrics.loss:.4f}  macro F1 {metrics.macro_f1:.2%}"
        + (f"\nbalanced accuracy {imbalance}" if imbalance else ""))
    say("\n".join(_selective(found.selective, one_line(arguments.unknown or ""))))
    print_table([("class", "images", "recall", "precision", "F1"), *(_row(classes, metrics, label) for label in metrics.by_f1())],
                right=range(1, 5), has_head=True)
    return 0


def _selective(figures, unknown):
    """Lines on how sure the net is: of these images, and of those in the folder `unknown`."""
    yield "accuracy on the surest " + ", ".join(f"{coverage:.0%}: {accuracy:.1%}" for coverage, accuracy
                                                in figures["accuracy_at_coverage"]) + f"; calibration error {figures['ece']:.1%}"
    if "threshold" in figures:
        of_those = "" if figures["accuracy"] is None else f", {figures['accuracy']:.1%} of those correct"
        yield f"sure (probability {figures['threshold']:.1%} or more) of {figures['coverage']:.1%}{of_those}"
    if "unknown" in figures:
        others = figures["unknown"]
        yield (f"unknown: {others['taken_for_a_class']} of {others['images']} images in {unknown} are taken for a class, "
               f"AUROC {others['auroc']:.3f}")


def _row(classes, metrics, label):
    """What the table of classes, the worst of which come first, says of one."""
    count = metrics.confusion[label].sum()
    figures = (metrics.per_class[label], metrics.precision[label], metrics.f1[label])
    return (classes[label], f"{count:,}", *(f"{value:.0%}" if value == value else "-" for value in figures))


def _measured(chosen, count, data):
    """What is measured of the `data`, in words."""
    if not chosen.whole:
        return f"{count} test images: {data}"
    return f"{count} images that training has not seen, of {data}" if _left_out(chosen) else f"{count} images, all of {data}"


def _left_out(chosen):
    """How many images are not measured, and why."""
    trained_on, validation = chosen.trained_on, chosen.validation
    reasons = [f"{trained_on} trained on"] * bool(trained_on) + [f"{validation} for validation"] * bool(validation)
    return f"; left out: {', '.join(reasons)}" if reasons else ""
