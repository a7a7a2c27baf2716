"""Weights of another framework on their way into a checkpoint: under mindclf's keys, checked, and written with a card."""

import logging
import re
from dataclasses import dataclass, field

import numpy as np
from mindspore.nn.utils import no_init_parameters

from mindclf.card import Card
from mindclf.checkpoint import fill_net, save_checkpoint
from mindclf.config import pixel_statistics
from mindclf.dataset.folder import check_class_index
from mindclf.labels import LABELS, ClassLabel
from mindclf.nets import HEAD_KEYS, NETS, build_net
from mindclf.preprocessing import Preprocessing
from mindclf.utils.files import one_line, sha256

log = logging.getLogger(__name__)

TO_ONE = {"mean": (127.5,) * 3, "std": (127.5,) * 3}  # pixels from -1 to 1
SHOWN = 3  # of the keys that do not fit in one way
WIDTHS = {  # net: the kernel whose channels tell the width, and how many they are at width 1
    "mobilenet_v1": ("features.13.pointwise.0.weight", 1024),
    "mobilenet_v2": ("features.17.conv.2.weight", 320),
}


@dataclass
class Foreign:
    """Weights of another framework, and what is known about how they were trained."""

    net: str
    values: dict                        # arrays by mindclf's keys
    names: dict                         # by the same keys: what the file calls them
    net_options: dict = field(default_factory=dict)
    pixels: dict = field(default_factory=dict)  # mean and std; {} is ImageNet's
    image_size: int = 224
    has_background: bool = False        # as class 0
    origin: str = ""                    # whose net it is, where that matters

    def __post_init__(self):
        key, channels = WIDTHS.get(self.net, ("", 1))
        if key in self.values and self.values[key].shape[:1] not in ((), (channels,)):
            self.net_options = {**self.net_options, "width_mult": self.values[key].shape[0] / channels}


def family_of(net, families, source):
    """The one of `families` that `net` belongs to; their names are what the names of their nets begin with."""
    nets = [name for name in NETS if name.startswith(tuple(families))]
    if net not in nets:
        problem = f"net={net!r} cannot be read from such a file" if net else "the file does not say which net it holds"
        raise ValueError(f"{source}: {problem}; give --net, one of {', '.join(nets)}")
    return next(family for family in families if net.startswith(family))


def place(source, arrays, key_of, layout=lambda name, key, value: value):
    """(values, names) by mindclf's keys. `key_of(name)` is the key of a weight; `layout` turns its axes into mindclf's."""
    values, names = {}, {}
    for name, value in arrays.items():
        if value.dtype.kind != "f" and value.dtype.name != "bfloat16":
            raise ValueError(f"{source}: {name} is of type {value.dtype}, not a floating-point weight")
        value = np.asarray(value, np.float32)
        if not np.isfinite(value).all():
            raise ValueError(f"{source}: {name} holds numbers that are not finite")
        key = key_of(name)
        if key in values:
            raise ValueError(f"{source} holds another net: {names[key]} and {name} would both be {key}")
        values[key] = value if key == name else layout(name, key, value)  # what has no place is named as it is in the file
        names[key] = name
    return values, names


def tensorflow_layout(name, key, value):
    """`value` with its axes as mindclf has them; TensorFlow puts the channels last."""
    if value.ndim == 4 and not key.startswith(HEAD_KEYS):
        is_depthwise = "depthwise" in name or "_dw_" in name
        return value.transpose(2, 3, 0, 1) if is_depthwise else value.transpose(3, 2, 0, 1)  # (H, W, C, 1) or (H, W, I, O)
    if value.ndim == 4 and value.shape[:2] == (1, 1):
        value = value[0, 0]
    return value.T if value.ndim == 2 else value                                             # (I, O) -> (O, I)


def inverted_residual(block, part, layer):
    """The key of a layer in a block of MobileNetV2, 0 to 16: part is expand, depthwise or project, layer 1 its batch norm."""
    index = ("expand", "depthwise", "project").index(part) - (block == 0)  # block 0 has no expansion
    if part == "project":
        return f"features.{block + 1}.conv.{index + layer}"
    return f"features.{block + 1}.conv.{index}.features.{layer}"


def write(foreign, source, destination, given):
    """Writes `foreign` as a checkpoint with its card, in which the fields `given` stand above what is known. Returns its path."""
    num_classes = _num_classes(foreign.values)
    labels = _labels(num_classes, foreign.has_background, given.get("class_index"))
    options = {**foreign.net_options, **given.get("net_options", {})}
    with no_init_parameters():  # the file has all weights: none need be drawn
        net = build_net(foreign.net, num_classes or 1, options)
    if not num_classes:
        net = net.backbone
        foreign.values = {key: value for key, value in foreign.values.items() if not key.startswith(HEAD_KEYS)}
    problems = misfits(net, foreign)
    if problems:
        raise ValueError(f"{source} does not fit {foreign.net}: {'; '.join(problems)}")
    fill_net(net, foreign.values, source)
    mean, std = pixel_statistics(given if given.get("mean") else foreign.pixels)
    size = given.get("image_height", foreign.image_size), given.get("image_width", foreign.image_size)
    card = Card.describing(foreign.net, options, labels, Preprocessing(size, mean=tuple(mean), std=tuple(std)))
    card["data"] = {"name": f"converted from {source.name}", "sha256": sha256(source),
                    **({"origin": foreign.origin} if foreign.origin else {})}
    path = save_checkpoint(net, destination, card)
    if not num_classes:
        log.warning("%s has no classifier: %s holds a backbone, for pretrained=%s", source, path, path)
    return path


def misfits(net, foreign):
    """What of `foreign` does not fit `net`, in words: missing, unexpected, of another shape; the first keys of each, and a count.

    Keys are named as the file names them, and missing ones as the net does.
    """
    shapes = {p.name: p.shape for p in net.get_parameters()}
    values, names = foreign.values, foreign.names
    kinds = {
        "missing ": [f"{key} {shape}" for key, shape in shapes.items() if key not in values],
        "unexpected ": [f"{names[key]} {value.shape}" for key, value in values.items() if key not in shapes],
        "": [f"{names[key]} has shape {values[key].shape}, the net wants {shape}"
             for key, shape in shapes.items() if key in values and values[key].shape != shape],
    }
    return [kind + ", ".join(keys[:SHOWN]) + (f" and {len(keys) - SHOWN} more" if len(keys) > SHOWN else "")
            for kind, keys in kinds.items() if keys]


def _num_classes(values):
    """The outputs of the last layer of the head; 0 where there is no head."""
    kernels = [key for key in values if re.match(r"(head|classifier)\.(\d+\.)?weight$", key)]
    return max((1, *values[max(kernels)].shape[:1])) if kernels else 0


def _labels(num_classes, has_background, class_index):
    """A `ClassLabel` for each output: those of `class_index`, ImageNet's where they are as many, or numbers."""
    if class_index:
        classes = list(check_class_index(class_index))
        if len(classes) != num_classes:
            raise ValueError(f"class_index has {len(classes)} classes, the weights have {num_classes}")
        return [ClassLabel(name) for name in classes]
    background = [ClassLabel("background", "背景")] if has_background else []
    imagenet = [*background, *LABELS["imagenet"].values()]
    return imagenet if num_classes == len(imagenet) else [ClassLabel(f"class {index}") for index in range(num_classes)]


def say_passed_over(source, names, has_averages=False):
    """Warns of weights and other entries of a file that are not converted."""
    if names:
        more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
        log.warning("%s: passed over, as no weights of the net: %s%s", source, one_line(", ".join(names[:SHOWN])), more)
    if has_averages:
        log.warning("%s holds EMA weights besides, moving averages of the weights: --ema converts those instead", source)
