"""mindclf show: training images as augmentation makes them."""

from pathlib import Path

from mindclf.cli.arguments import add_fields, fields_and_paths, one_path
from mindclf.cli.text import print_table

HELP = "show training images as augmentation makes them, before anything is trained"
NAME = "augmented.png"
ALL_LAYERS = ("trainable", "layers", "cached_views", "optimizer", "phases")  # one of these says what FOLDER trains
WORDS = ("FOLDER has your own images, as for train, whose head alone would see the centre of each image: here all layers are "
         "trained. DATASET is a name that the field dataset takes.")
SHOWN = ("scale", "ratio", "crop_padding", "cutout", "flip_prob", "vertical_flip_prob", "rotation", "color_adjust", "hue_adjust",
         "grey_prob", "policy", "rand_augment_ops", "rand_augment_magnitude", "erasing_prob", "erasing_scale", "erasing_ratio",
         "mixup_alpha", "cutmix_alpha", "train_scale")  # fields of augmentation, besides `augment`


def add_arguments(parser, recipe):
    parser.usage = "%(prog)s [options] " + ("" if recipe else "[FOLDER | DATASET] ") + "[field=value ...]"
    parser.epilog = ("They are those that a training with the same fields gets, in their order; grid_rows and grid_columns say "
                     "how many. " + ("" if recipe else WORDS))
    add_fields(parser)
    parser.add_argument("--to", metavar="FILE", default=NAME, help=f"what to write (default: {NAME})")
    parser.add_argument("--epoch", type=int, default=1, metavar="N", help="of this epoch, or with cached_views this view (1)")
    parser.add_argument("--phase", type=int, metavar="N", help="of this phase of the training (the last)")


def sort_words(arguments, parser, is_recipe):
    from mindclf.dataset.registry import DATA_SETS

    arguments.fields, words = (arguments.words, []) if is_recipe else fields_and_paths(arguments.words)
    word = one_path(words, parser, "show takes one folder or data set")
    if word in DATA_SETS and not Path(word).exists():
        arguments.fields = [f"dataset={word}", *arguments.fields]
    elif word:
        arguments.own_folder = word
        if not any(text.partition("=")[0] in ALL_LAYERS or text.startswith("phases.") for text in arguments.fields):
            arguments.options = [*arguments.options, "trainable=all", "cached_views=0"]


def run(arguments, config, is_recipe):
    from mindclf.config import DEFAULTS
    from mindclf.report.plots import titled_grid
    from mindclf.show import augmented_images
    from mindclf.train.own_folder import prepared
    from mindclf.utils.files import one_line

    destination = Path(arguments.to)
    if destination.suffix != ".png":
        raise ValueError(f"{one_line(destination)}: the name of the image that is written ends in .png")
    if destination.exists():
        raise ValueError(f"{one_line(destination)} exists and is not overwritten: name another with --to")
    if arguments.own_folder:
        config = prepared(config, arguments.own_folder)
    elif not (config.dataset or config.dataset_path):
        raise ValueError("show takes a folder of images, or the name of a data set, such as cifar10: see the field dataset")
    shown = augmented_images(config, config.grid_rows * config.grid_columns, arguments.phase, arguments.epoch)
    destination.parent.mkdir(parents=True, exist_ok=True)
    titled_grid(shown.images, shown.titles, destination, config.grid_columns)
    own = shown.config
    changes = [f"augment={own.augment}", *(f"{name}={own[name]}" for name in SHOWN if own[name] != DEFAULTS[name])]
    print_table([
        ("images", f"{len(shown.images)} of {len(shown.splits.train):,} training images of {len(shown.splits.classes)} classes"),
        ("fields", ", ".join(changes)),
        ("drawn by", f"seed={own.seed}, {'view' if own.cached_views else 'epoch'} {arguments.epoch}"),
        ("written", one_line(destination))], has_titles=True)
    return 0
