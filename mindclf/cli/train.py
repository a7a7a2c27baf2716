"""mindclf train: from images to a checkpoint and a report."""

import re

from mindclf.cli.arguments import add_device, add_fields, fields_and_paths, one_path
from mindclf.cli.fields import help_text
from mindclf.cli.text import quoted, say, this_command
from mindclf.utils.durations import rough_time

HELP = "train a net and report its accuracy on the test images"
BATCH_SIZE_SET = re.compile(r"batch_size=|phases\b")  # a field that says how large batches are
MOST_ISSUES = 5  # labels that are probably wrong, of those that are shown
OWN_FOLDER = ("FOLDER has your own images: a folder for each class, of which about a fifth is for testing, or train/ and test/ "
              "(or val/) with such folders. A head is solved on ImageNet features, or trained where fields of training, such as "
              "epochs, are given.")


def add_arguments(parser, recipe):
    parser.usage = "%(prog)s [options] " + ("" if recipe else "[FOLDER] ") + "[field=value ...]"
    if not recipe:
        parser.add_argument("--best", action="store_true",
                            help="of FOLDER: train all layers after the head, usually more accurate, and takes minutes to hours "
                                 "instead of seconds; it says how long before, and resumes")
    parser.epilog = help_text("" if recipe else OWN_FOLDER, recipe.config if recipe else {})
    add_fields(parser)
    add_device(parser)


def sort_words(arguments, parser, is_recipe):
    fields, folders = (arguments.words, []) if is_recipe else fields_and_paths(arguments.words)
    arguments.fields, arguments.own_folder = fields, one_path(folders, parser, "train takes one folder of images")
    if not is_recipe and arguments.best and not folders:
        parser.error("--best is for a folder of your own images: name it, as in mindclf train my_photos --best")


def run(arguments, config, is_recipe):
    from mindclf.calibration import described
    from mindclf.distributed import collectives
    from mindclf.train import fit
    from mindclf.train.own_folder import prepared

    if arguments.own_folder:
        for name in ("dataset", "dataset_path"):
            if any(text.startswith(f"{name}=") for text in arguments.fields):
                raise ValueError(f"{arguments.own_folder} and {name} exclude each other: give one")
        config = prepared(config, arguments.own_folder)
    named = config.resume or any(text.startswith("output=") for text in arguments.fields)
    fitted = fit(config, shrink_batches=not is_recipe and not any(map(BATCH_SIZE_SET.match, arguments.fields)), or_next=not named)
    if not collectives.is_main_process():
        return 0
    figures = fitted.report.scalars()
    imbalance = fitted.report.imbalance(fitted.classes)
    worst = fitted.report.worst(fitted.classes)
    command = this_command()
    say(f"\ndata        {fitted.data_origin}\n"
        f"started at  {fitted.weights_origin}\n"
        f"accuracy    {figures['top1']:.2%} of {figures['images']} test images (top-5 {figures['top5']:.2%})")
    if imbalance:
        say(f"balanced    {imbalance}")
    elif worst:
        say(f"worst       {worst}")
    _say_folds(fitted)
    say(f"not sure    {described(fitted.calibration)}\n"
        f"time        {fitted.seconds:.0f} s\n"
        f"checkpoint  {fitted.checkpoint}\n"
        f"report      {fitted.checkpoint.parent / 'report.html'}\n"
        f"images      {fitted.checkpoint.parent / 'predictions.png'}, classes.png, confusion.png, curves.png")
    if arguments.own_folder and fitted.best_seconds:  # a head was solved
        say(f"fine-tune   {command} train {quoted(arguments.own_folder)} --best\n"
            f"            trains all layers, in about {rough_time(fitted.best_seconds)} here; gains most where accuracy is low")
    say(f"your photo  {command} predict --checkpoint {quoted(str(fitted.checkpoint))} photo.jpg")
    if "no photos" in fitted.data_origin:
        say(f"            this net has seen drawings only; for photos use the one that comes with mindclf:\n"
            f"            {command} predict photo.jpg")
    return 0


def _say_folds(fitted):
    """Prints the lines about cross-validation, if there was one."""
    folds = fitted.folds
    if folds is None:
        return
    say(f"folds       {folds.described()}")
    count = len(folds.issues)
    if count:
        say(f"labels      {count} of {folds.pooled.images:,} are probably wrong, see "
            f"{fitted.checkpoint.parent / 'label_issues.csv'}; the most certain:")
        for line in folds.issue_lines(MOST_ISSUES):
            say(f"            {line}")
