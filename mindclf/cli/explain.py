"""mindclf explain: where on an image a class is seen."""

from pathlib import Path

from mindclf.cli.arguments import (
    LEADING,
    add_allow_private,
    add_checkpoint,
    add_device,
    add_image_options,
    only_one_after_checkpoint,
)
from mindclf.cli.checkpoint import checkpoint_of

HELP = "show where on an image a class is seen, by Grad-CAM: file, URL, - for standard input"


def add_arguments(parser, recipe):
    parser.usage = "%(prog)s [options] [CHECKPOINT] IMAGE"
    parser.epilog = f"{LEADING} Every other word is an image."
    parser.add_argument("words", nargs="+", metavar="IMAGE", help="a file, a URL, or - for standard input")
    add_checkpoint(parser, recipe, exported=False)
    parser.add_argument("--class", dest="class_name", metavar="NAME", help="the class to look for (default: the likeliest)")
    parser.add_argument("--to", metavar="FILE", help="what to write (default: IMAGE_explained.png in the working folder)")
    add_device(parser)
    add_allow_private(parser)
    add_image_options(parser)


def sort_words(arguments, parser, is_recipe):
    arguments.image = only_one_after_checkpoint(arguments, parser, "image")


def run(arguments, config, is_recipe):
    from mindclf.device import use_device
    from mindclf.explain import check_has_gradients, explain
    from mindclf.inference.sources import gather
    from mindclf.preprocessing import Reading
    from mindclf.report import plots
    from mindclf.utils.files import one_line

    checkpoint = checkpoint_of(arguments, config, is_recipe)
    check_has_gradients(checkpoint.path)
    preprocessing = checkpoint.read_card().preprocessing.read_as(Reading.of(config))
    found = list(gather([arguments.image], arguments.allow_private, preprocessing.reading))
    if len(found) > 1:
        raise ValueError(f"{one_line(arguments.image)} has {len(found)} files: explain takes one image")
    [(name, read)] = found
    destination = Path(arguments.to or f"{stem(name)}_explained.png")
    if destination.suffix != ".png":
        raise ValueError(f"{one_line(destination)}: the name of the image that is written ends in .png")
    if destination.exists():
        raise ValueError(f"{one_line(destination)} exists and is not overwritten: name another with --to")
    image = read()
    use_device(config.device_target)
    explained = explain(checkpoint, image, arguments.class_name)
    destination.parent.mkdir(parents=True, exist_ok=True)
    plots.explanation(explained, destination)
    print(one_line(destination))
    return 0


def stem(image):
    """What a file about an image, a path, a URL or "-", is named after: the name without folder and suffix."""
    from urllib.parse import unquote, urlsplit

    if image.startswith(("http://", "https://")):
        image = unquote(urlsplit(image).path)
    return Path(image).stem.lstrip("-") or "image"
