"""What may stand on the command line: the commands, their arguments and their help.

A command is a function of (arguments, config, is_recipe) that returns the exit status.
"""

import argparse
import re
from pathlib import Path

from mindclf import __version__
from mindclf.cli import about, folders, trained, training, weights
from mindclf.config import DEFAULTS


def make_parser(is_recipe, variants):
    parser = argparse.ArgumentParser(
        prog=None if is_recipe else "mindclf",
        description=(None if is_recipe else "Image classification on MindSpore: train, evaluate, predict, explain, export."),
        epilog="field=value sets a field of the config, as in epochs=2. The fields: " + ", ".join(DEFAULTS))
    parser.add_argument("--version", action="version", version=f"mindclf {__version__}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    private = "read URLs of this machine and of private networks too"
    mirror = "look at each image's mirror image too and take the mean of the logits, for twice the time"
    max_pixels = {"type": int, "metavar": "N",
                  "help": f"the most pixels of an image that is read, as the field max_pixels ({DEFAULTS.max_pixels:,})"}
    which = "the recipe's output/best.ckpt" if is_recipe else "the garbage sorter that comes with mindclf"

    def add(name, command, description, fields=False, checkpoint=False):
        sub = commands.add_parser(name, help=description, description=description)
        sub.set_defaults(command=command)
        if checkpoint:
            exported = "" if command in (trained.explain, weights.export) else ", or a file that export wrote (.mindir, .onnx)"
            sub.add_argument("--checkpoint", metavar="FILE",
                             help=f"a checkpoint, or the name of one in checkpoints/ without .ckpt{exported}; default: {which}")
        if fields:
            sub.add_argument("fields", nargs="*", metavar="field=value", help="sets a field of the config")
        return sub

    sub = add("train", training.train, "train a net and report its accuracy on the test images", fields=True)
    if not is_recipe:
        sub.usage = "%(prog)s [-h] [FOLDER] [field=value ...]"
        sub.epilog = ("FOLDER has your own images: a folder for each class, of which about a fifth is for testing, or "
                      "train/ and test/ (or val/) with such folders. A head is trained on ImageNet features, unless fields say "
                      "otherwise.")
    if not is_recipe:
        sub = add("launch", training.launch, "train with several workers on this machine, which share the batches")
        sub.usage = "%(prog)s [-h] --workers N {RECIPE train | train FOLDER} [field=value ...]"
        sub.add_argument("--workers", type=int, required=True, metavar="N", help="how many; each has batches of batch_size")
        sub.add_argument("training", nargs=argparse.REMAINDER, metavar="RECIPE train ...",
                         help="what to run: recipe.py train field=value ..., or train FOLDER field=value ...")
    if variants:
        sub = add("compare", training.compare, f"train {', '.join(variants)} with several seeds each, and compare them",
                  fields=True)
        sub.add_argument("--only", action="append", choices=variants, metavar="VARIANT", help="this one; may be repeated")
        sub.add_argument("--seeds", type=int, default=3, metavar="N", help="train with the seeds 1 to N (3)")
        sub.set_defaults(variants=variants)
    sub = add("eval", trained.evaluate, "measure a checkpoint on the test images", fields=True, checkpoint=True)
    sub.add_argument("--report", metavar="FOLDER",
                     help="write report.html, report.json, classes.png, confusion.png, predictions.png there, and, where "
                          "history.csv lies beside the checkpoint, curves.png")
    sub.add_argument("--mirror", action="store_true", help=mirror)
    sub.add_argument("--json", action="store_true", help="print the report as JSON")
    sub = add("predict", trained.predict, "say what is on images: files, folders, URLs, - for standard input", checkpoint=True)
    sub.add_argument("images", nargs="+", metavar="IMAGE")
    sub.add_argument("--top-k", type=int, metavar="K", help="classes to show for each image (3, or all if there are fewer)")
    sub.add_argument("--device", default="auto", help="auto (default), CPU, GPU or Ascend")
    sub.add_argument("--runtime", default="auto", metavar="NAME",
                     help="mindspore, or onnxruntime for an .onnx; default: auto, by the file's name")
    sub.add_argument("--mirror", action="store_true", help=mirror)
    sub.add_argument("--json", action="store_true", help="one JSON object an image and line")
    sub.add_argument("--allow-private", action="store_true", help=private)
    sub.add_argument("--max-pixels", **max_pixels)
    sub = add("explain", trained.explain, "show where on an image a class is seen, by Grad-CAM: file, URL, - for standard input",
              checkpoint=True)
    sub.add_argument("image", metavar="IMAGE")
    sub.add_argument("--class", dest="class_name", metavar="NAME", help="the class to look for (default: the likeliest)")
    sub.add_argument("--to", metavar="FILE", help="what to write (default: IMAGE_explained.png in the working folder)")
    sub.add_argument("--allow-private", action="store_true", help=private)
    sub.add_argument("--max-pixels", **max_pixels)
    sub = add("demo", trained.demo, "show a page in your browser to try a checkpoint with images; only this machine sees it")
    sub.add_argument("checkpoint", nargs="?", metavar="CHECKPOINT", help=f"default: {which}")
    sub.add_argument("--examples", metavar="FOLDER", help="images to offer (default: drawings, where the classes are garbage)")
    sub.add_argument("--port", type=int, default=7860, metavar="N", help="where the page is (7860); 0 for any free one")
    sub = add("export", weights.export, "write a checkpoint for other runtimes, and check that it computes the same",
              checkpoint=True)
    sub.add_argument("fields", nargs="*", metavar="CHECKPOINT", help="the checkpoint; the same as --checkpoint")
    sub.add_argument("--format", default="mindir", help="mindir (default), onnx or safetensors")
    sub.add_argument("--to", metavar="FILE", help="default: beside the checkpoint")
    sub.add_argument("--with-preprocessing", action="store_true",
                     help="have the file take uint8 pixels (N, height, width, 3) in RGB and normalise them itself")
    batch = sub.add_mutually_exclusive_group()
    batch.add_argument("--dynamic-batch", action="store_true", help="any number of images at a time, which is the default")
    batch.add_argument("--batch-size", type=int, metavar="N", help="or N images at a time, for devices that want to know")
    if not is_recipe:
        sub = add("quantize", weights.quantize, "write an .onnx with 8-bit integers, and measure what that costs in accuracy")
        sub.add_argument("model", metavar="MODEL.onnx", help="what mindclf export --format onnx wrote")
        sub.add_argument("fields", nargs="*", metavar="field=value",
                         help="which data to calibrate and measure with: dataset=NAME or dataset_path=FOLDER")
        sub.add_argument("--to", metavar="FILE", help="default: beside MODEL.onnx, as MODEL_int8.onnx")
        sub.add_argument("--calibration-images", "--calibration-pictures", type=int, metavar="N",
                         help="training images that show the ranges of activations (128)")
        sub.add_argument("--allow-loss", type=float, metavar="PART",
                         help="most of top-1 that may be lost, as a part of 1 (0.01); otherwise nothing is written")
        sub = add("convert", weights.convert,
                  "turn weights of PyTorch (.pth, .safetensors), Keras (.h5) or TF-slim (.npz) into a checkpoint")
        sub.add_argument("source", metavar="WEIGHTS")
        sub.add_argument("fields", nargs="*", metavar="CHECKPOINT field=value",
                         help="what to write (default: beside the weights, as .ckpt), and fields of the card that the weights do "
                              "not tell: image_height, image_width, mean, std, net_options.x, class_index")
        sub.add_argument("--net", default="", help="one of those that `mindclf nets` lists; not needed for .npz")
        sub.set_defaults(destination=None)
        sub = add("split", folders.split,
                  "divide a folder of class folders into train/ and test/, by a rule that can be repeated")
        sub.add_argument("source", metavar="SRC", help="folder with <class>/<image>; it is only read")
        sub.add_argument("destination", metavar="DST", help="new folder for train/<class>/, test/<class>/ and "
                         "split.json, which says what went where; images become hard links where the disk has them")
        sub.add_argument("--every", type=int, metavar="N", help="every Nth image of a class, by name, goes to test/; "
                         "without it and --fraction about a fifth does, by content, as in training")
        sub.add_argument("--fraction", type=float, metavar="PART", help="or this part of each class, drawn")
        sub.add_argument("--seed", type=int, metavar="N", help="what --fraction draws by (1)")
        sub.add_argument("--on-bad-image", default="stop", metavar="WORD",
                         help="stop (default) with the names of unusable files, or skip and count them")
        sub.add_argument("--max-pixels", **max_pixels)
        sub = add("stats", folders.stats,
                  "say what is in a folder of images: classes, sizes, kinds, mean and deviation of the pixels")
        sub.add_argument("folder", metavar="DIR", help="has a folder for each class, or train/ and test/ with such folders")
        sub.add_argument("--max-pixels", **max_pixels)
        sub.add_argument("--json", action="store_true", help="one JSON object")
        sub = add("doctor", about.doctor, "say what mindclf runs on here: versions, device, kernels, memory, data")
        sub.add_argument("--json", action="store_true", help="one JSON object")
        add("nets", about.nets, "list the nets, with their trainable parameters for 1000 classes")
        sub = add("summary", about.summary, "show a net's layers: output shapes, parameters, multiply-accumulates (MACs), memory")
        sub.add_argument("net", metavar="NET", help="one of those that `mindclf nets` lists")
        sub.add_argument("fields", nargs="*", metavar="net_options.x=y", help="sets an option of the net")
        sub.add_argument("--size", type=int, default=224, metavar="PIXELS", help="height and width of an image (224)")
        sub.add_argument("--classes", type=int, default=1000, metavar="N", help="number of classes (1000)")
        sub.add_argument("--batch-size", type=int, default=32, metavar="N", help="images in a training step (32)")
        sub.add_argument("--json", action="store_true", help="one JSON object with layers, totals and memory")
    return parser


def parse(parser, argv, is_recipe):
    """The arguments, with fields also after an option: argparse itself takes those before the first option only."""
    arguments, rest = parser.parse_known_args(argv)
    if rest and (not hasattr(arguments, "fields") or any(text.startswith("-") for text in rest)):
        parser.error(f"unrecognized arguments: {' '.join(rest)}")
    if rest:
        arguments.fields += rest
    if arguments.command is weights.convert:
        arguments.destination = _take_path(arguments, parser, "convert writes one checkpoint")
    elif arguments.command is training.train and not is_recipe:
        arguments.own_folder = _take_path(arguments, parser, "train takes one folder of images")
    elif arguments.command is weights.export:
        named = [*arguments.fields, *filter(None, [arguments.checkpoint])]
        if len(named) > 1:
            parser.error(f"export takes one checkpoint, not {', '.join(named)}")
        arguments.checkpoint, arguments.fields = named[0] if named else None, []
    return arguments


def _take_path(arguments, parser, rule):
    """The one text among the fields that is no field=value, or None; it is taken out of them."""
    paths = [text for text in arguments.fields if not _is_field(text)]
    if len(paths) > 1:
        parser.error(f"{rule}, not {', '.join(paths)}")
    arguments.fields = [text for text in arguments.fields if text not in paths]
    return paths[0] if paths else None


def _is_field(text):
    """Whether `text` is a field=value, and no path that has such a character."""
    name = re.match(r"([A-Za-z_]\w*)[\w.]*=", text)
    return bool(name) and (name[1] in DEFAULTS or not Path(text).exists())
