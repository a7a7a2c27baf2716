"""Own images: the config that a training of one's own folder begins with. Nothing here imports MindSpore."""

import logging
import os
import statistics
from pathlib import Path

from mindclf.config import FIELDS, SOLVED, SOLVES, own_pairs, split_pair
from mindclf.dataset.layout import files_below, split_folders, unwrapped

log = logging.getLogger(__name__)

HIDDEN_LAYERS = ("alexnet", "asymmnet", "squeezenet", "vgg")  # how names of nets begin whose head is more than one dense layer
SOLVED_HEAD = dict(optimizer="lbfgs")
DESCENDED_HEAD = dict(epochs=40, batch_size=16, lr_max=0.025, weight_decay=4e-3, label_smoothing=0.1)
TRAINED_FRACTION = 0.72  # of an undivided folder: a fifth is for testing, and a tenth of the others for validation

# --best: its second phase, and how long that is. docs/how_to/fine_tune.md says how they were chosen.
ALL_LAYERS = dict(trainable="all", cached_views=0, optimizer="momentum", batch_size=32, lr_max=0.006, warmup_epochs=1,
                  weight_decay=1e-4, label_smoothing=0.1)
BEST_VIEWS = 40_000          # training images that are seen, in all epochs together
BEST_EPOCHS = (4, 30)        # no fewer and no more
BEST_CROP = (0.35, 1.0)
SMALL_PHOTO = 160            # pixels: the shorter side of most photos; images of that size are then half of the computation
SAMPLED_PHOTOS = 200         # whose sizes are looked at
BEST_EVAL_FACTOR = 4.0       # time of a training image over that of an image that the same net evaluates
NOT_WITH_BEST = ("phases", "trainable", "cached_views", "optimizer", "nesterov", "weight_decay", "tune_weight_decay")


def own_images(folder, asked_for=(), best=False):
    """What `mindclf train FOLDER` starts from, a dict of fields: a head on the features of a backbone that knows ImageNet.

    That head is solved (optimizer=lbfgs). If `asked_for`, a dict of fields or a list of "field=value" texts, has a field that
    only gradient descent knows, such as epochs, or a net whose head is more than one dense layer, it is trained by that. A
    weight_decay that is asked for is not tuned.

    With `best` all layers are trained after the head, for `best_epochs`. Raises ValueError for a field of NOT_WITH_BEST then:
    in the two phases it would mean different things.
    """
    asked = dict(own_pairs(asked_for.items() if isinstance(asked_for, dict) else map(split_pair, asked_for)))
    config = dict(dataset_path=folder, net="mobilenet_v2", pretrained="imagenet", trainable="head", cached_views=1,
                  output=f"outputs/{Path(os.path.abspath(folder)).name}")
    return {**config, **(_best(folder, asked) if best else _head(asked))}


def best_epochs(count):
    """The epochs in which --best trains all layers on so many training images."""
    least, most = BEST_EPOCHS
    return min(most, max(least, round(BEST_VIEWS / max(count, 1))))


def count_trained(folder):
    """About how many images of `folder` are for training: files are counted, not read."""
    divided = split_folders(unwrapped(folder))
    count = len(files_below(divided.get("train", Path(folder))))
    return round(count * (TRAINED_FRACTION if not divided else 1 if "valid" in divided else 0.9))


def best_image_size(folder):
    """The height and width, in pixels, of the images that --best trains on, or None for those of the config."""
    from PIL import Image  # here, for `train --help` comes without it

    files = files_below(Path(folder))
    sides = []
    for path in files[::-(-len(files) // SAMPLED_PHOTOS) or 1]:
        try:
            with Image.open(path) as image:
                sides.append(min(image.size))
        except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):
            continue  # the training says what it cannot read
    return SMALL_PHOTO if sides and statistics.median(sides) <= SMALL_PHOTO else None


def _head(asked):
    """The fields of a head alone."""
    descends = "" if asked.get("optimizer") in SOLVED else next(filter(None, map(_only_descends, asked.items())), "")
    if descends and "optimizer" not in asked and asked.get("trainable", "head") == "head":
        log.info("%s: the head is trained by gradient descent, not solved", descends)
    if descends:
        return DESCENDED_HEAD
    return {**SOLVED_HEAD, **({"tune_weight_decay": "no"} if "weight_decay" in asked else {})}


def _best(folder, asked):
    """The fields of a head and then all layers."""
    for name in NOT_WITH_BEST:
        if name in {given.partition(".")[0] for given in asked}:
            raise ValueError(f"{name} and --best exclude each other: --best solves the head, and then trains all layers by a "
                             f"recipe of its own; leave one out")
    if "pretrained" in asked and not asked["pretrained"]:
        raise ValueError("pretrained= and --best exclude each other: --best goes on from weights that know other images")
    head = DESCENDED_HEAD if str(asked.get("net", "")).startswith(HIDDEN_LAYERS) else SOLVED_HEAD
    epochs = best_epochs(count_trained(folder))
    size = None if {"image_height", "image_width"} & asked.keys() else best_image_size(folder)
    return dict(scale=BEST_CROP, **({} if size is None else dict(image_height=size, image_width=size)),
                **({} if asked.get("monitor", "top1") != "top1" else dict(choose_epoch="latest")),
                output=f"outputs/{Path(os.path.abspath(folder)).name}-best",
                phases=(dict(trainable="head", cached_views=1, **head), dict(ALL_LAYERS, epochs=epochs)))


def _only_descends(pair):
    """`pair`, (field, value), as a text if a head cannot be solved with it, else ""."""
    name, value = pair
    field, text = FIELDS.get(name.partition(".")[0]), f"{name}={value}"
    if field is None:
        return ""
    if name.startswith("phases") or (field.meant_for and field.meant_for != SOLVES
                                     and field.meant_for[0] not in ("augment", "policy")):
        return text
    solvable = {"optimizer": lambda: value in SOLVED, "trainable": lambda: value == "head",
                "cached_views": lambda: str(value) != "0", "net": lambda: not str(value).startswith(HIDDEN_LAYERS),
                "nesterov": lambda: False}.get(name, lambda: True)
    return "" if solvable() else text
