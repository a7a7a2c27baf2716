"""mindclf convert: weights of other frameworks as a checkpoint."""

from mindclf.cli.arguments import fields_and_paths, one_path
from mindclf.config import ALIASES

HELP = ("turn weights of mindcv or MindSpore Hub (.ckpt), PyTorch (.pth, .safetensors), Keras (.h5) or TF-slim (.npz) into a "
        "checkpoint")


def add_arguments(parser, recipe):
    parser.add_argument("source", metavar="WEIGHTS")
    parser.add_argument("words", nargs="*", metavar="CHECKPOINT field=value",
                        help="what to write (default: beside the weights, as .ckpt), and fields of the card that the weights do "
                             "not tell: image_height, image_width, mean, std, net_options.x, class_index")
    parser.add_argument("--net", default="",
                        help="one of those that `mindclf nets` lists; not needed for .npz, and for what `mindclf weights` lists")
    parser.add_argument("--origin", default="", metavar="NAME",
                        help="whose names the weights in a .ckpt have: mindcv, hub (MindSpore Hub) or mindclf; needed where the "
                             "names do not tell it")
    parser.add_argument("--ema", action="store_true",
                        help="convert the moving averages of the weights that the file holds besides")


def sort_words(arguments, parser, is_recipe):
    arguments.fields, paths = fields_and_paths(arguments.words)
    arguments.destination = one_path(paths, parser, "convert writes one checkpoint")


def run(arguments, config, is_recipe):
    from mindclf.convert import convert

    given = {text.partition("=")[0].partition(".")[0] for text in arguments.fields}
    fields = {name: config[name] for name in (ALIASES.get(name, name) for name in given)}
    print(convert(arguments.source, arguments.destination, arguments.net, arguments.origin, arguments.ema, **fields))
    return 0
