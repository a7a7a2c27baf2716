"""mindclf train: from images to a checkpoint and a report."""

import re
from pathlib import Path

from mindclf.cli.arguments import add_device, add_fields, fields_and_paths, one_path
from mindclf.cli.fields import help_text
from mindclf.cli.text import quoted, this_python

HELP = "train a net and report its accuracy on the test images"
BATCH_SIZE_SET = re.compile(r"batch_size=|phases\b")  # a field that says how large batches are
OWN_FOLDER = ("FOLDER has your own images: a folder for each class, of which about a fifth is for testing, or train/ and test/ "
              "(or val/) with such folders. A head is trained on ImageNet features, unless fields say otherwise.")


def add_arguments(parser, recipe):
    parser.usage = "%(prog)s [options] " + ("" if recipe else "[FOLDER] ") + "[field=value ...]"
    parser.epilog = help_text("" if recipe else OWN_FOLDER, recipe.config if recipe else {})
    add_fields(parser)
    add_device(parser)


def sort_words(arguments, parser, is_recipe):
    fields, folders = (arguments.words, []) if is_recipe else fields_and_paths(arguments.words)
    arguments.fields, arguments.own_folder = fields, one_path(folders, parser, "train takes one folder of images")


def run(arguments, config, is_recipe):
    from mindclf.distributed import collectives
    from mindclf.train import fit

    if arguments.own_folder:
        _prepare_own_images(arguments, config)
    named = config.resume or any(text.startswith("output=") for text in arguments.fields)
    fitted = fit(config, shrink_batches=not is_recipe and not any(map(BATCH_SIZE_SET.match, arguments.fields)), or_next=not named)
    if not collectives.is_main_process():
        return 0
    figures = fitted.report.metrics()
    imbalance = fitted.report.imbalance(fitted.classes)
    balanced = f"balanced    {imbalance}\n" if imbalance else ""
    python = this_python()
    print(f"\ndata        {fitted.data_origin}\n"
          f"started at  {fitted.weights_origin}\n"
          f"accuracy    {figures['top1']:.2%} of {figures['images']} test images (top-5 {figures['top5']:.2%})\n{balanced}"
          f"time        {fitted.seconds:.0f} s\n"
          f"checkpoint  {fitted.checkpoint}\n"
          f"report      {fitted.checkpoint.parent / 'report.html'}\n"
          f"images      {fitted.checkpoint.parent / 'predictions.png'}, classes.png, confusion.png, curves.png\n"
          f"your photo  {python} -m mindclf predict --checkpoint {quoted(str(fitted.checkpoint))} photo.jpg")
    if "no photos" in fitted.data_origin:
        print(f"            this net has seen drawings only; for photos use the one that comes with mindclf:\n"
              f"            {python} -m mindclf predict photo.jpg")
    return 0


def _prepare_own_images(arguments, config):
    """Numbers the classes of the folder on the command line by name, after a look at what people get wrong there."""
    from mindclf.dataset.layout import check_divided, check_names, index_of_folders, split_folders, unwrapped
    from mindclf.dataset.names import split_of
    from mindclf.utils.cache import cache_folder, feature_folder

    folder = Path(arguments.own_folder)
    for name in ("dataset", "dataset_path"):
        if any(text.startswith(f"{name}=") for text in arguments.fields):
            raise ValueError(f"{folder} and {name} exclude each other: give one")
    check_divided(unwrapped(folder))
    divided = split_folders(unwrapped(folder))
    source = divided.get("train", unwrapped(folder))
    if not config.class_index:
        check_names(source)
    classes = list(index_of_folders(source))
    if len(classes) < 2:
        raise ValueError(f"{folder} has one class folder, {classes[0]!r}: a net needs two to tell apart")
    if all(map(split_of, classes)):
        raise ValueError(f"{folder} has {', '.join(classes)}, but no class folders in them")
    places = {"output": config.output, "cache_dir": cache_folder(), "feature_cache": feature_folder(config.feature_cache)}
    for name, place in places.items():
        if place and not divided and Path(place).resolve().is_relative_to(folder.resolve()):
            raise ValueError(f"{name}={place} lies in {folder}, where it would become a class: run this elsewhere, or set {name}")
    if config.layers == "head" and not config.pretrained and not config.phases:
        raise ValueError("pretrained= is empty, and a head on a backbone of random weights learns little: add layers=all "
                         "cached_views=0, or let pretrained name a checkpoint")
    config.class_index = config.class_index or classes
