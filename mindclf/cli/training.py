"""The commands that train: train, launch, compare."""

import re
import sys
from pathlib import Path

from mindclf.cli.text import USER_ERROR, print_table, quoted, this_python
from mindclf.utils.cache import cache_folder, feature_folder

BATCH_SIZE_SET = re.compile(r"batch_size=|phases\b")  # a field that says how large batches are


def train(arguments, config, is_recipe):
    from mindclf.distributed import collectives
    from mindclf.train import fit

    if not is_recipe and arguments.own_folder:
        _prepare_own_images(arguments, config)
    named = config.resume or any(text.startswith("output=") for text in arguments.fields)
    fitted = fit(config, shrink_batches=not is_recipe and not any(map(BATCH_SIZE_SET.match, arguments.fields)), or_next=not named)
    if not collectives.is_main_process():
        return 0
    figures = fitted.report.scalars()
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
            raise ValueError(f"{name}={place} lies in {folder}, where it would be taken for a class: run this elsewhere, or set "
                             f"{name}")
    if config.layers == "head" and not config.pretrained and not config.phases:
        raise ValueError("pretrained= is empty, and a head on a backbone of random weights learns little: add layers=all "
                         "cached_views=0, or let pretrained name a checkpoint")
    config.class_index = config.class_index or classes


def launch(arguments, config, is_recipe):
    from mindclf.distributed.launch import launch

    return launch(arguments.workers, arguments.training)


def compare(arguments, config, is_recipe):
    from mindclf.compare import compare, compared_folder

    if not 1 <= arguments.seeds <= 1000:
        raise ValueError(f"--seeds {arguments.seeds} must lie between 1 and 1000")
    variants = {name: fields for name, fields in arguments.variants.items() if name in (arguments.only or arguments.variants)}
    for name in (re.match(r"\w*", text)[0] for text in arguments.fields):
        users = [variant for variant, fields in variants.items() if name in fields]
        if users or name in ("seed", "resume"):
            raise ValueError(f"{name} is what {', '.join(users) or 'compare'} sets itself: leave it out, or change the recipe")
    rows = compare(config, variants, range(1, arguments.seeds + 1))
    if any(row["seeds"] for row in rows):
        _print_comparison(rows, compared_folder(config))
    failed = [f"{row['variant']}: {message}" for row in rows for message in row["failed"]]
    for message in failed:
        print(f"mindclf: {message}", file=sys.stderr)
    return USER_ERROR if failed else 0


def _print_comparison(rows, folder):
    print()
    print_table([("variant", "parameters", "MACs", "top-1, mean", "least", "greatest", "seeds", "seconds"),
                  *((row["variant"], f"{row['parameters']:,}", f"{row['macs'] / 1e6:,.1f} M", f"{row['mean_top1']:.2%}",
                     f"{min(row['top1']):.2%}", f"{max(row['top1']):.2%}", str(len(row["seeds"])), f"{row['mean_seconds']:,.0f}")
                    for row in rows if row["seeds"])], right=range(1, 8))
    print(f"\ntable and curves: {folder}/compare.json, compare.png")
