"""Command-line arguments that several commands have, and how the words that are no options are told apart."""

import glob
import os
import re
import sys
from pathlib import Path

from mindclf.config import ALIASES, DEFAULTS, FIELDS

CHECKPOINT_SUFFIXES = (".ckpt", ".safetensors", ".mindir", ".onnx")
LEADING = (f"Without --checkpoint, CHECKPOINT is the first word if its name ends in {', '.join(CHECKPOINT_SUFFIXES)} and it is "
           f"no folder and no URL, or if it is the name of a file in checkpoints/ without .ckpt and no file or folder here has "
           f"this name.")


def add_fields(parser, help="sets a field of the config: `train --help` lists them"):
    parser.add_argument("words", nargs="*", metavar="field=value", help=help)


def add_checkpoint(parser, recipe, exported=True):
    """--checkpoint; `exported` says whether the command also takes a file that `export` wrote."""
    files = ", or a file that export wrote (.mindir, .onnx)" if exported else ""
    default = "the recipe's output/best.ckpt" if recipe else "the garbage sorter that comes with mindclf"
    parser.add_argument("--checkpoint", metavar="FILE",
                        help=f"a checkpoint, or the name of one in checkpoints/ without .ckpt{files}; the same as the word "
                             f"CHECKPOINT; default: {default}")


def add_device(parser, default=None):
    """--device, which sets the field device_target; `default` takes the place of the field's own."""
    _add_field_option(parser, "--device", "device_target", "NAME",
                      f"where nets run: {', '.join(FIELDS['device_target'].choices)}; the same as device_target=NAME; default: "
                      f"{default or DEFAULTS.device_target}")
    if default:
        parser.set_defaults(options=[f"device_target={default}"])


def add_image_options(parser):
    """How image files are read: --max-pixels and --white, which set the fields max_pixels and white."""
    _add_field_option(parser, "--max-pixels", "max_pixels", "N",
                      f"largest image that is read, in pixels, as the field max_pixels ({DEFAULTS.max_pixels:,})")
    _add_field_option(parser, "--white", "white", "VALUE",
                      "value of white in images of more than 8 bits, such as 4095 for 12 bits, as the field white; default: as "
                      "the checkpoint's training, or these images, have it")


def add_allow_private(parser):
    parser.add_argument("--allow-private", action="store_true", help="read URLs of this machine and of private networks too")


def add_mirror(parser):
    parser.add_argument("--mirror", "--tta", action="store_true",
                        help="test-time augmentation: run each image and its horizontal flip, and average the logits; takes "
                             "twice the time")


def add_threshold(parser):
    parser.add_argument("--threshold", type=float, metavar="P",
                        help="probability, 0 to 1, below which the answer is \"not sure\"; default: the checkpoint's own, if it "
                             "has one; 0: every answer is sure")


def fields_and_paths(words):
    """(those of `words` that set a field, the others)."""
    fields = [word for word in words if _is_field(word)]
    return fields, [word for word in words if word not in fields]


def one_path(paths, parser, rule):
    """The only one of `paths`, or None; more of them are a mistake, against the `rule`."""
    if len(paths) > 1:
        parser.error(f"{rule}, not {', '.join(paths)}")
    return paths[0] if paths else None


def set_checkpoint(arguments, parser, named):
    """Sets arguments.checkpoint to the one of `named`, words of the command line, or to that of --checkpoint."""
    named = [*named, *filter(None, [arguments.checkpoint])]
    arguments.checkpoint = one_path(named, parser, f"{arguments.name} takes one checkpoint")


def images_after_checkpoint(arguments, parser):
    """The images among the words, and arguments.checkpoint set if the first word names it: the rule is in LEADING."""
    images = arguments.words = expanded(arguments.words)
    if arguments.checkpoint is None and _names_checkpoint(images[0]):
        arguments.checkpoint, *images = images
    if not images:
        parser.error(f"{arguments.name} takes an image: name one after the checkpoint {arguments.checkpoint}")
    return images


def only_one_after_checkpoint(arguments, parser, kind):
    """The one word after a checkpoint, which names a `kind`, such as an image; a usage error where there are more."""
    words = images_after_checkpoint(arguments, parser)
    if len(words) > 1:
        parser.error(f"{arguments.name} takes one {kind}, not {', '.join(words)}")
    return words[0]


def expanded(words):
    """The words, on Windows with the files that *.jpg stands for in its place: the shells there leave that to programs.

    A word that is a path itself, or that no file fits, stays.
    """
    if sys.platform != "win32":
        return words
    found = [[word] if "://" in word or os.path.exists(word) else sorted(glob.glob(word)) or [word] for word in words]
    return [word for fitting in found for word in fitting]


def _names_checkpoint(word):
    path = Path(word)
    if "://" in word:
        return False
    if path.suffix in CHECKPOINT_SUFFIXES:
        return not os.path.isdir(path)
    if word == "-" or path.suffix or os.path.exists(path):  # which take a name that no file can have
        return False
    from mindclf.checkpoint_file import CHECKPOINTS

    return os.path.isfile(CHECKPOINTS / f"{word}.ckpt")


def _is_field(word):
    """Whether `word` is a field=value, and no path that has such a character."""
    name = re.match(r"([A-Za-z_]\w*)[\w.]*=", word)
    return bool(name) and (ALIASES.get(name[1], name[1]) in FIELDS or not os.path.exists(word))


def _add_field_option(parser, option, field, metavar, help):
    """An option that sets a field of the config, as field=value does."""
    parser.add_argument(option, dest="options", action="append", type=f"{field}={{}}".format, metavar=metavar, help=help)
