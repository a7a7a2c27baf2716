"""mindclf predict: what is on images."""

import sys

from mindclf.cli.arguments import (
    LEADING,
    add_allow_private,
    add_checkpoint,
    add_device,
    add_image_options,
    add_mirror,
    images_after_checkpoint,
)
from mindclf.cli.checkpoint import checkpoint_of
from mindclf.cli.text import USER_ERROR, print_json, print_table

HELP = "say what is on images: files, folders, URLs, - for standard input"


def add_arguments(parser, recipe):
    parser.usage = "%(prog)s [options] [CHECKPOINT] IMAGE ..."
    parser.epilog = LEADING
    parser.add_argument("words", nargs="+", metavar="IMAGE", help="a file, a folder, a URL, or - for standard input")
    add_checkpoint(parser, recipe)
    parser.add_argument("--top-k", type=int, metavar="K", help="classes to show for each image (3, or all if there are fewer)")
    add_device(parser)
    parser.add_argument("--runtime", default="auto", metavar="NAME",
                        help="mindspore, or onnxruntime for an .onnx; default: auto, by the file's name")
    add_mirror(parser)
    parser.add_argument("--json", action="store_true", help="one JSON object an image and line")
    add_allow_private(parser)
    add_image_options(parser)


def sort_words(arguments, parser, is_recipe):
    arguments.images = images_after_checkpoint(arguments, parser)


def run(arguments, config, is_recipe):
    from mindclf.device import use_device
    from mindclf.inference.sources import gather
    from mindclf.predict import Predictor

    use_device(config.device_target)
    predictor = Predictor(checkpoint_of(arguments, config, is_recipe), arguments.runtime, arguments.mirror, config.max_pixels,
                          config.white)
    if predictor.net is None and config.device_target not in ("auto", "CPU"):
        raise ValueError(f"device_target={config.device_target}: ONNX Runtime computes on the CPU here; take --device CPU")
    failed = False
    sources = gather(arguments.images, arguments.allow_private, predictor.preprocessing.reading)
    for name, found in predictor.predict_iter(sources, arguments.top_k):
        if isinstance(found, ValueError):
            failed = True
            print(f"mindclf: {found}", file=sys.stderr)
        else:
            _show(name, found, arguments.json)
    return USER_ERROR if failed else 0


def _show(name, predictions, as_json):
    from dataclasses import asdict

    from mindclf.utils.files import one_line

    if as_json:
        print_json({"image": name, "predictions": [asdict(prediction) for prediction in predictions]})
        return
    print(one_line(name))
    print_table([("  " + prediction.name, prediction.chinese,
                  " ".join(filter(None, (prediction.category, prediction.category_chinese))),
                  f"{prediction.probability:.1%}") for prediction in predictions])
