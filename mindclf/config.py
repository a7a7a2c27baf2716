"""Every field that a recipe may set, and the one way to set it. Pure data: nothing here imports MindSpore."""

import ast
import copy
import difflib
import math
from pathlib import Path

from easydict import EasyDict

from mindclf.labels import CALTECH16, CIFAR10, FLOWER_PHOTOS, FOLDER_NAMES, ClassIndex, index_en, number_classes

IMAGENET_MEAN = (0.485 * 255, 0.456 * 255, 0.406 * 255)  # RGB, on the 0 to 255 scale
IMAGENET_STD = (0.229 * 255, 0.224 * 255, 0.225 * 255)

DEFAULTS = EasyDict(
    # Data
    dataset="",                        # "garbage26", "cifar10", or if they are on disk "flowers102", "caltech16", "flower_photos"
    dataset_path="",                   # or your own: a folder with train/<class>/ and test/<class>/, or with <class>/ alone, of
                                       # which about a fifth is for testing, by content; of "cifar10" the folder with its .bin
                                       # files
    class_index={},                    # class folder -> label, or the class folders in the order of their labels; never guessed,
                                       # but that `mindclf train FOLDER` numbers them by name
    on_bad_image="stop",               # "stop" with the names of unusable files, or "skip" and count them
    max_pixels=89_478_485,             # of an image that is read; more may be an attack on the memory, or a 108-megapixel phone's
    white=0.0,                         # what is white in images of more than 8 bits, such as 4095 for 12 bits; 0 finds it in the
                                       # training images, for the card: the least of 1 (floats), 255, 1023, 4095, 16383, 65535
                                       # that none exceeds
    valid_fraction=0.1,                # of each training class, held out to choose the best epoch, unless there is a valid/
    image_height=224,                  # pixels
    image_width=224,                   # pixels
    mean=(),                           # RGB, on the 0 to 255 scale; () is what the pretrained weights want; for fresh weights
    std=(),                            # and "cifar10" that of the training images, computed; else ImageNet's
    crop_share=0.875,                  # part of height and width that evaluation sees: the centre; 1.0 is all of it
    augment="resized_crop",            # of training images: "resized_crop" or, for small images, "padded_crop"
    crop_padding=4,                    # "padded_crop": largest shift, in pixels, of cifar10's images at their own size
    cutout=0,                          # "padded_crop": side of a square of the mean colour, in pixels, partly outside where its
                                       # centre is near an edge; 0 is none
    scale=(0.08, 1.0),                 # part of the area that a training crop may have
    ratio=(0.75, 1.333),               # width over height that a training crop may have
    flip_prob=0.5,                     # of a mirror image, left for right
    vertical_flip_prob=0.0,            # of a mirror image, top for bottom
    rotation=0.0,                      # largest turn to either side, in degrees; corners that it bares get the mean colour
    color_adjust=0.4,                  # largest change of brightness, contrast and saturation, as a part of each
    hue_adjust=0.0,                    # largest turn of the hue, as a fraction of the colour wheel: 0.5 is any hue
    grey_prob=0.0,                     # of losing all colour
    # Net
    net="mobilenet_v2",
    net_options={},                    # further arguments of the net, such as {'width_mult': 0.5}
    pretrained="",                     # "imagenet" (found or downloaded), the name of a file in checkpoints/ without .ckpt, the
                                       # path of a checkpoint, or "" for fresh weights
    checkpoint_origin="",              # of a checkpoint without a card: "mindclf" if its net was trained; asked for where others
                                       # publish files with the same keys of a net that computes something else
    # Training; each entry of `phases` may set its own value of the fields down to cached_views
    layers="all",                      # "all", or "head" with the backbone frozen
    size_share=1.0,                    # height and width of training images, as a part of image_height and image_width: a
                                       # first phase on smaller ones takes less time; shifts and cut-out squares shrink with them
    epochs=10,
    batch_size=16,
    eval_batch_size=16,
    optimizer="momentum",              # or "sgd", "adam": their weight decay is L2, part of the gradient; "adamw": it is not
    schedule="cosine",                 # of the rate after warm-up: "cosine", "one_cycle" (a straight line), "constant", "plateau"
    lr_max=0.05,
    lr_end=0.0,                        # where "cosine" and "one_cycle" lead, and the least rate of "plateau"
    warmup_epochs=0,                   # in which the rate rises to lr_max in a straight line
    plateau_figure="loss",             # "plateau" lowers the rate when this, or "top1", of the watched images stops improving:
    plateau_factor=0.5,                # to so much of it,
    plateau_patience=5,                # after more than so many epochs without improvement
    momentum=0.9,                      # of "momentum" and "sgd"
    nesterov=False,                    # optimizer="sgd": Nesterov's momentum
    weight_decay=1e-4,                 # of kernels and matrices; biases and batch norm have none
    label_smoothing=0.0,
    mixup_alpha=0.0,                   # of the Beta distribution by which images and labels are mixed in pairs; 0 is none
    sam_rho=0.0,                       # how far sharpness-aware minimisation moves the weights before it looks; 0 is none
    ema_decay=0.0,                     # keep the moving average of the weights, with this decay a step; 0 keeps the weights
    cached_views=0,                    # layers="head": train on so many stored views of each image; 0 computes each anew
    phases=(),                         # a dict of such fields for each phase; () is one phase
    loss_scale=1024,                   # exact in float32; keeps float16 gradients from vanishing
    save_checkpoint_steps=0,           # steps between two checkpoints in epochs/ from which a killed run can be resumed; one is
                                       # written at the end of each epoch anyway, and 0 writes no others
    keep_checkpoint_max=1,             # checkpoints that are kept in epochs/, the newest; more than 1 stay there after the run
    # Run
    device_target="auto",
    seed=1,
    grid_rows=4,                       # of images in predictions.png, spread evenly over the test images
    grid_columns=6,
    output="outputs/run",              # folder for checkpoints, cards, history and plots, of one run at a time; an earlier run
                                       # there is moved aside after the first step of the new one
    tensorboard=False,                 # write event files too, for TensorBoard, into the folder tensorboard/ of output
    resume=False,                      # go on with the run in output that was interrupted, from where it was last saved; and with
                                       # a finished one that gets more epochs, at the learning rates that these have
    feature_cache="auto",              # folder for the features of cached_views: "auto" is in the cache, "" stores none
    cache_dir="",                      # folder for what is downloaded, converted or computed once: "" is that which the variable
                                       # MINDCLF_CACHE_DIR names, or else mindclf/ in your own cache, such as ~/.cache/mindclf
)
CLASS_INDEX = {  # of known data sets
    "garbage26": number_classes(index_en), "cifar10": number_classes(CIFAR10),
    "flowers102": number_classes(FOLDER_NAMES["flowers102"]), "caltech16": number_classes(CALTECH16),
    "flower_photos": number_classes(FLOWER_PHOTOS),
}
RAW_SIZE = {"cifar10": (32, 32)}  # of data sets whose images are pixels of one size: (height, width)
PHASE_FIELDS = ("layers", "size_share", "epochs", "batch_size", "optimizer", "schedule", "lr_max", "lr_end", "warmup_epochs",
                "plateau_figure", "plateau_factor", "plateau_patience", "momentum", "nesterov", "weight_decay", "label_smoothing",
                "mixup_alpha", "sam_rho", "ema_decay", "cached_views")
VARIATION_FIELDS = ("rotation", "flip_prob", "vertical_flip_prob", "color_adjust", "hue_adjust", "grey_prob")  # of any `augment`
LEAST_EMA_DECAY = 0.9
MEANT_FOR = {  # field: (another field, the values of that which the field means something to)
    "scale": ("augment", ("resized_crop",)), "ratio": ("augment", ("resized_crop",)),
    "crop_padding": ("augment", ("padded_crop",)), "cutout": ("augment", ("padded_crop",)),
    "plateau_figure": ("schedule", ("plateau",)), "plateau_factor": ("schedule", ("plateau",)),
    "plateau_patience": ("schedule", ("plateau",)), "lr_end": ("schedule", ("cosine", "one_cycle", "plateau")),
    "momentum": ("optimizer", ("momentum", "sgd")),
}
CHOICES = {
    "dataset": ("", *CLASS_INDEX),
    "on_bad_image": ("stop", "skip"),
    "augment": ("resized_crop", "padded_crop"),
    "layers": ("all", "head"),
    "optimizer": ("momentum", "sgd", "adam", "adamw"),
    "schedule": ("cosine", "one_cycle", "constant", "plateau"),
    "plateau_figure": ("loss", "top1"),
    "device_target": ("auto", "CPU", "GPU", "Ascend"),
    "checkpoint_origin": ("", "mindclf"),
}
RANGES = {  # field: (smallest, largest) value
    "max_pixels": (1, 10**9), "white": (0, 2**31 - 1),
    "valid_fraction": (0, 0.9), "image_height": (32, 4096), "image_width": (32, 4096), "flip_prob": (0, 1),
    "vertical_flip_prob": (0, 1), "rotation": (0, 180), "color_adjust": (0, 1), "hue_adjust": (0, 0.5), "grey_prob": (0, 1),
    "crop_share": (0.1, 1), "crop_padding": (0, 4096), "cutout": (0, 4096), "size_share": (0.25, 1), "epochs": (1, 100_000),
    "batch_size": (1, 65_536), "eval_batch_size": (1, 65_536), "lr_max": (0, 1e3),
    "lr_end": (0, 1e3), "warmup_epochs": (0, 100_000), "momentum": (0, 1), "weight_decay": (0, 1e3), "label_smoothing": (0, 0.99),
    "plateau_factor": (0.01, 0.99), "plateau_patience": (0, 100_000), "mixup_alpha": (0, 100), "sam_rho": (0, 100),
    "ema_decay": (0, 0.99999), "cached_views": (0, 1000), "loss_scale": (1, 2**24),
    "save_checkpoint_steps": (0, 10**9), "keep_checkpoint_max": (1, 1000), "seed": (0, 2**31 - 1),
    "grid_rows": (1, 40), "grid_columns": (1, 40),
}
NUMBERS = {  # field that is a tuple: (how many numbers, smallest, largest); of mean and std as MindSpore's Normalize takes them
    "scale": (2, -1_000_000, 1_000_000), "ratio": (2, -1_000_000, 1_000_000), "mean": (3, 0, 255), "std": (3, 0.001, 255),
}


def own_images(folder):
    """What `mindclf train FOLDER` starts from: a head on the features of a backbone that knows ImageNet."""
    return dict(
        dataset_path=folder,
        net="mobilenet_v2",
        pretrained="imagenet",
        layers="head",
        cached_views=1,
        epochs=40,
        batch_size=16,
        lr_max=0.025,
        weight_decay=4e-3,
        label_smoothing=0.1,
        output=f"outputs/{Path(folder).resolve().name}",
    )


def merge(config, overrides):
    """`config` with `overrides` applied: a dict of fields, or a list of "field=value" texts as a command line has them.

    Every field must exist in DEFAULTS and have its type; `net_options.width_mult=0.5` sets one entry of a dict, and
    `phases.1.epochs=2` a field of the second phase. A field that `phases` sets too is replaced there as well: what is asked
    for last holds everywhere. A data set that mindclf knows brings its class_index. Raises ValueError that names the field,
    and the field that was perhaps meant.
    """
    for name in set(config) - set(DEFAULTS):
        raise ValueError(_unknown(name))
    merged = EasyDict({name: copy.deepcopy(_typed(name, value)) for name, value in {**DEFAULTS, **config}.items()})
    pairs = overrides.items() if isinstance(overrides, dict) else map(_split, overrides)
    for name, value in pairs:
        name, _, entry = name.partition(".")
        if name not in DEFAULTS:
            raise ValueError(_unknown(name))
        if name == "phases" and entry:
            value = _with_phase_field(merged.phases, entry, value)
        elif entry:
            if not isinstance(DEFAULTS[name], dict):
                raise ValueError(f"{name}.{entry}: only fields that are dicts have entries")
            value = {**merged[name], entry: _literal(value)}
        merged[name] = _typed(name, value)
        if name in PHASE_FIELDS:
            merged.phases = tuple({**phase, name: merged[name]} if name in phase else phase for phase in merged.phases)
    if merged.dataset in CLASS_INDEX and not merged.class_index:
        merged.class_index = CLASS_INDEX[merged.dataset]
    _check(merged)
    return merged


def pixel_statistics(config):
    """(mean, std) of a config or card: ImageNet's where they are left open."""
    return tuple(config.get("mean") or IMAGENET_MEAN), tuple(config.get("std") or IMAGENET_STD)


def phases_of(config):
    """The phases of `config`, each a full config of its own."""
    return [EasyDict({**config, **phase}) for phase in config.phases or ({},)]


def _check(config):
    for phase in config.phases:
        for name in phase:
            if name not in PHASE_FIELDS:
                raise ValueError(f"phases: {_unknown(name, PHASE_FIELDS)}")
    config.phases = tuple({name: _typed(name, value) for name, value in phase.items()} for phase in config.phases)
    for values in phases_of(config):
        for name, value in values.items():
            if name in CHOICES and value not in CHOICES[name]:
                choices = ", ".join(repr(choice) for choice in CHOICES[name])
                raise ValueError(f"{name}={value!r} is not known; expected one of {choices}")
            if name in RANGES and not RANGES[name][0] <= value <= RANGES[name][1]:
                raise ValueError(f"{name}={value} must lie between {RANGES[name][0]} and {RANGES[name][1]}")
        if values.cached_views and values.layers != "head":
            raise ValueError(f"cached_views={values.cached_views} needs layers='head': the features of a backbone that trains "
                             f"cannot be stored")
        if values.nesterov and (values.optimizer != "sgd" or not values.momentum):
            raise ValueError(f"nesterov=True needs optimizer='sgd' and a momentum, received optimizer={values.optimizer!r} and "
                             f"momentum={values.momentum}: MindSpore's Momentum computes something else on CPU")
        if values.lr_end > values.lr_max:
            raise ValueError(f"lr_end={values.lr_end} is more than lr_max={values.lr_max}: rates fall")
        if 0 < values.ema_decay < LEAST_EMA_DECAY:
            raise ValueError(f"ema_decay={values.ema_decay} must be 0 or at least {LEAST_EMA_DECAY}: the average takes in the "
                             f"weights of every 8th step")
        if values.warmup_epochs >= values.epochs:
            raise ValueError(f"warmup_epochs={values.warmup_epochs} must be less than epochs={values.epochs}")
    _check_meaning(config)
    for name, (length, low, high) in NUMBERS.items():
        value = config[name]
        if len(value) != length and not (name in ("mean", "std") and not value):
            raise ValueError(f"{name}={value} must have {length} numbers")
        if not all(isinstance(number, (int, float)) and low <= number <= high for number in value):  # not NaN either
            raise ValueError(f"{name}={value} must be numbers between {low:,} and {high:,}")
    if bool(config.mean) != bool(config.std):
        raise ValueError("mean and std belong together: set both or neither")
    for name in ("scale", "ratio"):
        low, high = config[name]
        if not 0 < low <= high:
            raise ValueError(f"{name}={config[name]} must be two positive numbers, the smaller first")
    if config.scale[1] > 1:
        raise ValueError(f"scale={config.scale} is a part of the image's area: at most 1")
    side = min(config.image_height, config.image_width)
    if config.cutout > side:
        raise ValueError(f"cutout={config.cutout} must be at most the images' {side} pixels")
    side = min((side, *RAW_SIZE.get(config.dataset, ())))
    if config.crop_padding >= side:
        raise ValueError(f"crop_padding={config.crop_padding} must be less than the images' {side} pixels")


def _check_meaning(config):
    """Refuses a field that was set where nothing looks at it."""
    phases = phases_of(config)
    for name, (switch, values) in MEANT_FOR.items():
        own = [phase for phase, fields in zip(phases, config.phases) if name in fields]
        idle = [phase for phase in own or phases if phase[name] != DEFAULTS[name] and phase[switch] not in values]
        if idle and (own or len(idle) == len(phases)):
            raise ValueError(f"{name}={idle[0][name]!r} means nothing to {switch}={idle[0][switch]!r}: it is for {switch}="
                             + " or ".join(map(repr, values)))


def _with_phase_field(phases, entry, value):
    """The phases with the field that `entry`, "1.epochs", names set to `value`."""
    number, _, field = entry.partition(".")
    if not number.isdigit() or int(number) >= len(phases) or field not in PHASE_FIELDS:
        raise ValueError(f"phases.{entry}: expected phases.N.FIELD with N from 0 to {len(phases) - 1} and a field of a phase, "
                         f"such as phases.0.epochs")
    return tuple({**phase, field: value} if index == int(number) else phase for index, phase in enumerate(phases))


def _split(text):
    name, equals, value = text.partition("=")
    if not equals:
        raise ValueError(f"{text!r} is not of the form field=value")
    return name, value


def _typed(name, value):
    """`value` as the type that the field has in DEFAULTS; texts are read as Python literals unless the field is a text."""
    kind = type(DEFAULTS[name])
    if kind is str:
        if not isinstance(value, str):
            raise ValueError(f"{name}={value!r} must be of type str")
        return value
    value = _literal(value)
    if kind is bool:
        value = {"true": True, "false": False}.get(value.lower(), value) if isinstance(value, str) else value
        if not isinstance(value, bool):
            raise ValueError(f"{name}={value!r} must be true or false")
        return value
    if kind is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value) if abs(value) < 1e300 else math.copysign(math.inf, value)  # no float holds 10**400
    if kind is tuple and isinstance(value, list):
        value = tuple(value)
    if name == "phases" and isinstance(value, tuple) and not all(isinstance(phase, dict) for phase in value):
        raise ValueError(f"phases={value!r} must be dicts of fields, one for each phase")
    if name == "class_index" and isinstance(value, (list, tuple)):
        return number_classes(value)
    if name == "class_index" and isinstance(value, dict) and all(isinstance(folder, str) for folder in value):
        return ClassIndex(value)
    if not _has_plain_keys(value):
        raise ValueError(f"{name}={value!r} must have texts as keys")
    if isinstance(DEFAULTS[name], dict) and isinstance(value, dict):
        return dict(value)  # a copy of an EasyDict would trip over a key called "items"
    if not isinstance(value, kind) or isinstance(value, bool):
        raise ValueError(f"{name}={value!r} must be of type {'dict' if kind is EasyDict else kind.__name__}")
    return value


def _has_plain_keys(value):
    """Whether all dicts in `value` have keys that an EasyDict can have as attributes: texts, none of which is Python's own."""
    if isinstance(value, dict):
        return all(isinstance(key, str) and not key.startswith("__") for key in value) and _has_plain_keys(list(value.values()))
    return not isinstance(value, (list, tuple)) or all(map(_has_plain_keys, value))


def _literal(value):
    if not isinstance(value, str):
        return value
    try:
        return ast.literal_eval(value)
    except (ValueError, SyntaxError, TypeError, RecursionError, MemoryError):  # a list as a key; brackets in a thousand brackets
        return value


def _unknown(name, fields=DEFAULTS):
    close = difflib.get_close_matches(name, fields, n=1)
    hint = f"did you mean {close[0]!r}?" if close else f"the fields are: {', '.join(fields)}"
    return f"unknown field {name!r}; {hint}"
