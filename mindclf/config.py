"""Config: one declaration for each field that a recipe may set, and the one way to set it. Nothing here imports MindSpore.

A config is a flat EasyDict of all fields. `merge` makes one; a phase of a training may set its own value of some fields.
"""

import ast
import copy
import logging
import math
from typing import NamedTuple

from easydict import EasyDict

from mindclf.dataset.registry import DATA_SETS
from mindclf.labels import ClassIndex, ClassWeights, number_classes
from mindclf.utils.hints import did_you_mean

log = logging.getLogger(__name__)

IMAGENET_MEAN = (0.485 * 255, 0.456 * 255, 0.406 * 255)  # RGB, on the 0 to 255 scale
IMAGENET_STD = (0.229 * 255, 0.224 * 255, 0.225 * 255)
LEAST_EMA_DECAY = 0.9
AUTO = "auto"  # of class_weights
CLASS_WEIGHT_RANGE = (1e-6, 1e6)


class Field(NamedTuple):
    """The declaration of one field. Checks, error messages, `mindclf train --help` and docs/config.md read it.

    default     its value where nobody sets it, which has the type that every value must have
    help        one line for users
    unit        of a number, in words
    range       (smallest, largest) value; of a tuple, that of each of its numbers
    length      of a tuple, how many numbers it has; () is allowed too where it is the default
    choices     the values that are allowed besides the default; any value is where there are none
    per_phase   whether a phase may set its own value
    meant_for   (another field, the values of that one to which this field means something)
    alias       another name of the field, which works everywhere
    """

    default: object
    help: str
    unit: str = ""
    range: tuple = ()
    length: int = 0
    choices: object = ()
    per_phase: bool = False
    meant_for: tuple = ()
    alias: str = ""

    @property
    def allowed(self):
        """The choices and the default; () where any value is allowed."""
        return (*(() if self.default in self.choices else (self.default,)), *self.choices) if self.choices else ()


RESIZED, PADDED = ("augment", ("resized_crop",)), ("augment", ("padded_crop",))
PLATEAU = ("schedule", ("plateau",))
GRADIENT_DESCENT, SOLVED = ("momentum", "sgd", "adam", "adamw", "lion"), ("lbfgs",)  # values of `optimizer`
TRAINS_ALL = ("trainable", ("all",))
DESCENDS, SOLVES = ("optimizer", GRADIENT_DESCENT), ("optimizer", SOLVED)

GROUPS = {
    "Data": {
        "dataset": Field("", "a data set that mindclf knows; empty for images of your own", choices=DATA_SETS),
        "dataset_path": Field(
            "", "folder of images: train/<class>/ and test/<class>/, or <class>/ alone, of which about a fifth is for testing, "
            "by content; of cifar10 the folder with its .bin files"),
        "class_index": Field(
            {}, "class folder -> label, or the class folders in the order of their labels; never guessed, except that `mindclf "
            "train FOLDER` numbers them by name"),
        "on_bad_image": Field(
            "stop", "stop with the names of unusable files, or skip and count them", choices=("stop", "skip")),
        "max_pixels": Field(
            89_478_485, "largest image that is read; a larger one may be an attack on the memory, or come from a phone with 108 "
            "megapixels", "pixels", (1, 10**9)),
        "white": Field(
            0.0, "value of white in images of more than 8 bits, such as 4095 for 12 bits; 0 finds it in the training images, for "
            "the card: the least of 1 (floats), 255, 1023, 4095, 16383, 65535 that no more than single pixels exceed",
            range=(0, 2**31 - 1)),
        "valid_fraction": Field(
            0.1, "fraction of each training class that is for validation, to choose the best epoch, unless there is a valid/",
            range=(0, 0.9)),
        "image_height": Field(224, "height of the images that the net sees", "pixels", (32, 4096)),
        "image_width": Field(224, "width of the images that the net sees", "pixels", (32, 4096)),
        "mean": Field(
            (), "mean of the pixels, RGB, on the 0 to 255 scale; () is what the pretrained weights want, of cifar10 with random "
            "initialisation that of its training images, and else ImageNet's", range=(0, 255), length=3),
        "std": Field(  # at least what MindSpore's Normalize takes
            (), "standard deviation of the pixels, like mean", range=(0.001, 255), length=3),
        "crop_pct": Field(
            0.875, "fraction of height and width that evaluation sees: the central crop; 1.0 is the whole image", range=(0.1, 1),
            alias="crop_share"),
        "augment": Field(
            "resized_crop", "how training images are cropped at random; padded_crop is for small images",
            choices=("resized_crop", "padded_crop")),
        "crop_padding": Field(
            4, "largest shift of the crop, of cifar10's images at their raw size", "pixels", (0, 4096), meant_for=PADDED),
        "cutout": Field(
            0, "side of a square of the mean colour, partly outside where its centre is near an edge; 0 is none", "pixels",
            (0, 4096), meant_for=PADDED),
        "scale": Field(
            (0.08, 1.0), "fraction of the image's area that a training crop has, between these two", range=(0, 1), length=2,
            meant_for=RESIZED),
        "ratio": Field(
            (0.75, 1.333), "aspect ratio, width / height, of a training crop, between these two", range=(0, 1_000_000), length=2,
            meant_for=RESIZED),
        "flip_prob": Field(0.5, "probability of a horizontal flip", range=(0, 1)),
        "vertical_flip_prob": Field(0.0, "probability of a vertical flip", range=(0, 1)),
        "rotation": Field(
            0.0, "largest rotation to either side; corners that it bares get the mean colour", "degrees", (0, 180)),
        "color_adjust": Field(0.4, "largest change of brightness, contrast and saturation, as a fraction of each", range=(0, 1)),
        "hue_adjust": Field(
            0.0, "largest change of the hue, as a fraction of the colour wheel: 0.5 is any hue", range=(0, 0.5)),
        "grey_prob": Field(0.0, "probability of losing all colour", range=(0, 1)),
        "policy": Field(
            "", "operations that change training images after crop and flips, in the place of color_adjust: trivial_augment "
            "(one, of any strength), rand_augment (rand_augment_ops of them), auto_augment (that found for ImageNet) or "
            "auto_augment_cifar10", choices=("", "trivial_augment", "rand_augment", "auto_augment", "auto_augment_cifar10")),
        "rand_augment_ops": Field(
            2, "operations on each image", "operations", (1, 10), meant_for=("policy", ("rand_augment",))),
        "rand_augment_magnitude": Field(
            9.0, "strength of all operations, of 10; torchvision counts to 30", range=(0, 10),
            meant_for=("policy", ("rand_augment",))),
        "erasing_prob": Field(
            0.0, "probability that a box of a training image gets the mean colour (random erasing)", range=(0, 1)),
        "erasing_scale": Field(
            (0.02, 0.4), "fraction of the image's area that such a box has, between these two", range=(0, 1), length=2),
        "erasing_ratio": Field(
            (0.3, 3.333), "aspect ratio, width / height, of such a box, between these two", range=(0, 1_000_000), length=2),
    },
    "Net": {
        "net": Field("mobilenet_v2", "one of the nets that `mindclf nets` lists"),
        "net_options": Field({}, "further arguments of the net, as in net_options.width_mult=0.5"),
        "pretrained": Field(
            "", "weights to start from: imagenet (published for this net, found on disk or downloaded: see mindclf weights), "
            "the name of a file in checkpoints/ without .ckpt, or the path of a checkpoint; empty is random initialisation"),
        "checkpoint_origin": Field(
            "", "mindclf, if a checkpoint without a card is of mindclf's own net; needed where others publish files with the "
            "same keys for a net that computes something else", choices=("mindclf",)),
    },
    "Training": {
        "trainable": Field(
            "all", "layers that are trained: all, or the head alone, with the backbone frozen", choices=("all", "head"),
            per_phase=True, alias="layers"),
        "train_scale": Field(
            1.0, "height and width of training images as a fraction of image_height and image_width (progressive resizing); "
            "crop_padding and cutout shrink with them", range=(0.25, 1), per_phase=True, alias="size_share"),
        "epochs": Field(10, "passes over the training images", range=(1, 100_000), per_phase=True, meant_for=DESCENDS),
        "batch_size": Field(16, "size of a training batch", "images", (1, 65_536), per_phase=True, meant_for=DESCENDS),
        "eval_batch_size": Field(16, "size of a batch in evaluation", "images", (1, 65_536)),
        "optimizer": Field(
            "momentum", "the weight decay of momentum, sgd and adam is L2, a part of the gradient; that of adamw and lion is "
            "decoupled; lbfgs solves a head that is one dense layer on stored features (trainable=head, cached_views of 1 or "
            "more), without epochs, batches and learning rates", choices=(*GRADIENT_DESCENT, *SOLVED), per_phase=True),
        "tune_weight_decay": Field(
            "auto", "what chooses the weight_decay of lbfgs: the validation images, cross_validation, or auto (the validation "
            "images where they are many, else folds); no takes weight_decay as it is",
            choices=("validation", "cross_validation", "no"), per_phase=True, meant_for=SOLVES),
        "schedule": Field(
            "cosine", "of the learning rate after warm-up; one_cycle falls in a straight line",
            choices=("cosine", "one_cycle", "constant", "plateau"), per_phase=True, meant_for=DESCENDS),
        "lr_max": Field(0.05, "largest learning rate", range=(0, 1e3), per_phase=True, meant_for=DESCENDS),
        "backbone_lr_factor": Field(
            1.0, "learning rate of the backbone, as a factor of that of the head, which keeps lr_max", range=(1e-4, 1),
            per_phase=True, meant_for=TRAINS_ALL),
        "layer_decay": Field(
            1.0, "factor of the learning rate from the head to the last block of the backbone, and from each block to the one "
            "before it", range=(0.1, 1), per_phase=True, meant_for=TRAINS_ALL),
        "min_lr": Field(
            0.0, "learning rate at the end of cosine and one_cycle, and the least of plateau", range=(0, 1e3), per_phase=True,
            meant_for=("schedule", ("cosine", "one_cycle", "plateau")), alias="lr_end"),
        "warmup_epochs": Field(
            0, "epochs in which the learning rate rises to lr_max in a straight line", range=(0, 100_000), per_phase=True,
            meant_for=DESCENDS),
        "monitor": Field(
            "top1", "metric of the validation images that chooses the best epoch, and the weight decay that is tuned: top1, the "
            "mean recall of the classes (balanced_accuracy), their mean F1 (macro_f1), or the loss",
            choices=("top1", "balanced_accuracy", "macro_f1", "loss")),
        "choose_epoch": Field(
            "best", "the epoch that best.ckpt has: the best on the validation images, or the latest that is within one standard "
            "error of the best (latest), for with few validation images the best is the best by chance",
            choices=("best", "latest"), meant_for=("monitor", ("top1",))),
        "early_stopping_patience": Field(
            0, "epochs in a row, after warm-up, without improvement of monitor, after which the phase stops early; 0 never does",
            "epochs", (0, 100_000), per_phase=True, meant_for=DESCENDS),
        "min_delta": Field(
            0.0, "what the monitored metric must improve by to count for early_stopping_patience", range=(0, 1e3), per_phase=True,
            meant_for=DESCENDS),
        "target_error": Field(
            0.02, "fraction of errors that is accepted among the predictions that a net is sure of: the threshold below which it "
            "answers \"not sure\" is chosen for it, on validation images, of which it keeps 95% at most", range=(0, 0.5)),
        "plateau_monitor": Field(
            "loss", "metric of the validation images, or without such of the test images, that lowers the learning rate when it "
            "stops improving", choices=("loss", "top1"), per_phase=True, meant_for=PLATEAU, alias="plateau_figure"),
        "plateau_factor": Field(
            0.5, "factor by which the learning rate is then lowered", range=(0.01, 0.99), per_phase=True, meant_for=PLATEAU),
        "plateau_patience": Field(
            5, "epochs without improvement that are tolerated before that", "epochs", (0, 100_000), per_phase=True,
            meant_for=PLATEAU),
        "momentum": Field(
            0.9, "momentum of the optimizer", range=(0, 1), per_phase=True, meant_for=("optimizer", ("momentum", "sgd"))),
        "nesterov": Field(False, "Nesterov's momentum, of optimizer=sgd", per_phase=True),
        "weight_decay": Field(
            1e-4, "weight decay of kernels and matrices; biases and batch norm have none; of lbfgs the decay of a kernel on "
            "features of mean 0 and mean square 1", range=(0, 1e3), per_phase=True),
        "label_smoothing": Field(
            0.0, "fraction of each target that is spread over all classes", range=(0, 0.99), per_phase=True),
        "class_weights": Field(
            {}, "how much the images of a class count in the loss, as in {'rose': 3}, where others count 1; or auto: each class "
            "as much as any other, n / (classes x its images), as scikit-learn's \"balanced\""),
        "balanced_sampling": Field(
            False, "draw as many images of each class in an epoch, those of rare classes several times, in different views",
            per_phase=True, meant_for=DESCENDS),
        "mixup_alpha": Field(
            0.0, "of the Beta distribution by which images and labels are mixed in pairs (mixup); 0 is none", range=(0, 100),
            per_phase=True, meant_for=DESCENDS),
        "teacher": Field(
            "", "checkpoint of a trained net whose logits the net learns from besides the labels (distillation), where it sees "
            "images: the name of a file in checkpoints/ without .ckpt, or a path; its classes and image size must be the same"),
        "distillation_temperature": Field(
            4.0, "temperature that both nets' logits are divided by for their divergence", range=(0.1, 100)),
        "distillation_weight": Field(
            0.5, "weight of the divergence from the teacher; that of the loss of the labels is 1 less this", range=(0, 1)),
        "cutmix_alpha": Field(
            0.0, "of the Beta distribution of the fraction of an image that a box of another takes, and of its label (CutMix); 0 "
            "is none; with mixup_alpha each batch is mixed in one of the two ways, as likely as the other", range=(0, 100),
            per_phase=True, meant_for=DESCENDS),
        "drop_path_rate": Field(
            0.0, "probability that an image skips the last residual block in training (stochastic depth); it rises in a straight "
            "line with depth", range=(0, 0.99), per_phase=True, meant_for=("trainable", ("all",))),
        "sam_rho": Field(
            0.0, "radius of sharpness-aware minimisation (SAM); 0 is none",
            range=(0, 100), per_phase=True, meant_for=DESCENDS),
        "clip_norm": Field(
            0.0, "largest norm of all gradients of a step together, to which longer ones are clipped; 0 clips none",
            range=(0, 1e6), per_phase=True, meant_for=DESCENDS),
        "accumulation_steps": Field(
            1, "batches of batch_size whose gradients make one step: as with a batch so many times larger, in the memory of one",
            "batches", (1, 4096), per_phase=True, meant_for=DESCENDS),
        "ema_decay": Field(
            0.0, f"decay a step of the exponential moving average (EMA) of the weights, which is then kept: 0 is none, else "
            f"{LEAST_EMA_DECAY} or more", range=(0, 0.99999), per_phase=True, meant_for=DESCENDS),
        "cached_views": Field(
            0, "trainable=head: train on so many stored views of each image; 0 computes each anew", "views", (0, 1000),
            per_phase=True),
        "phases": Field(
            (), "a dict of fields for each phase of the training, such as a first one for the head alone; () is one phase"),
        "loss_scale": Field(
            1024, "keeps float16 gradients from vanishing; exact in float32", range=(1, 2**24)),
        "save_checkpoint_steps": Field(
            0, "steps between two checkpoints in epochs/ from which a killed run can be resumed; 0 writes one only at the end of "
            "each epoch, where one is written anyway", "steps", (0, 10**9)),
        "keep_checkpoint_max": Field(
            1, "newest checkpoints that are kept in epochs/; if more than 1, they stay there after the run", "checkpoints",
            (1, 1000)),
    },
    "Run": {
        "device_target": Field(
            "auto", "where nets run: auto is the first of Ascend, GPU and CPU that is there",
            choices=("auto", "CPU", "GPU", "Ascend")),
        "seed": Field(1, "of everything that is drawn at random", range=(0, 2**31 - 1)),
        "folds": Field(
            0, "cross-validation after the training: so many times a net is trained on all but one part of the training and "
            "validation images, and measured on that part; which images have a wrong label shows too; 0 is none",
            "folds", (0, 100)),
        "grid_rows": Field(4, "of images in predictions.png, spread evenly over the test images", "rows", (1, 40)),
        "grid_columns": Field(6, "of images in predictions.png", "columns", (1, 40)),
        "output": Field(
            "outputs/run", "folder for checkpoints, cards, history and plots of one run at a time; an earlier run there is moved "
            "aside after the first step of the new one"),
        "tensorboard": Field(False, "write event files too, for TensorBoard, into tensorboard/ in output"),
        "resume": Field(
            False, "resume the run in output that was interrupted, from where it was last saved; a finished one that gets more "
            "epochs too, at the learning rates that these have"),
        "feature_cache": Field("auto", "folder for the features of cached_views: auto is in the cache, empty stores none"),
        "cache_dir": Field(
            "", "folder for what is downloaded, converted or computed once; empty is the one that the variable MINDCLF_CACHE_DIR "
            "names, or else mindclf/ in your own cache, such as ~/.cache/mindclf"),
    },
}
FIELDS = {name: field for group in GROUPS.values() for name, field in group.items()}
ALIASES = {field.alias: name for name, field in FIELDS.items() if field.alias}
OTHER_NAMES = {  # what other programs call a field: not taken, but answered with a hint
    "lr": "lr_max", "learning_rate": "lr_max", "base_lr": "lr_max", "wd": "weight_decay", "bs": "batch_size",
    "batch": "batch_size", "model": "net", "arch": "net", "data": "dataset_path", "data_dir": "dataset_path",
    "image_size": "image_height", "img_size": "image_height", "output_dir": "output", "device": "device_target",
    "patience": "early_stopping_patience", "warmup": "warmup_epochs", "ema": "ema_decay",
}
DEFAULTS = EasyDict({name: field.default for name, field in FIELDS.items()})
VARIATION_FIELDS = ("rotation", "flip_prob", "vertical_flip_prob", "color_adjust", "hue_adjust", "grey_prob")  # of any `augment`
POLICY_FIELDS = ("policy", "rand_augment_ops", "rand_augment_magnitude")
ERASING_FIELDS = ("erasing_prob", "erasing_scale", "erasing_ratio")

# Tables that older code reads; new code reads FIELDS and DATA_SETS.
CHOICES = {name: field.allowed for name, field in FIELDS.items() if field.choices}
CLASS_INDEX = {name: row.class_index for name, row in DATA_SETS.items()}
RAW_SIZE = {name: row.raw_size for name, row in DATA_SETS.items() if row.raw_size}

_said = set()  # aliases that the log has told of, in this process


def merge(config, overrides=()):
    """`config` with `overrides` applied: an EasyDict of all fields.

    `config` is a dict of fields, such as an EasyDict. `overrides` is another one, or a list of "field=value" texts as a command
    line has them. Every field must exist in FIELDS and have the type of its default; `net_options.width_mult=0.5` sets one entry
    of a dict, and `phases.1.epochs=2` a field of the second phase. A field that `phases` sets too is replaced there as well: what
    is asked for last holds everywhere. A data set that mindclf knows brings its class_index. An alias stands for its field.
    Raises ValueError that names the field, and the field that was perhaps meant.
    """
    config = own_names(config)
    for name in config:
        if name not in FIELDS:
            raise ValueError(_unknown(name))
    merged = EasyDict({name: copy.deepcopy(_typed(name, value)) for name, value in {**DEFAULTS, **config}.items()})
    pairs = overrides.items() if isinstance(overrides, dict) else map(split_pair, overrides)
    for name, value in own_pairs(pairs):
        name, _, entry = name.partition(".")
        if name not in FIELDS:
            raise ValueError(_unknown(name))
        if name == "phases" and entry:
            value = _with_phase_field(merged.phases, entry, value)
        elif entry:
            if not isinstance(FIELDS[name].default, dict):
                raise ValueError(f"{name}.{entry}: only fields that are dicts have entries")
            value = {**(merged[name] if isinstance(merged[name], dict) else {}), entry: _literal(value)}
        merged[name] = _typed(name, value)
        if FIELDS[name].per_phase:
            merged.phases = tuple({**phase, name: merged[name]} if name in phase else phase for phase in merged.phases)
    if merged.dataset in DATA_SETS and not merged.class_index:
        merged.class_index = ClassIndex(DATA_SETS[merged.dataset].class_index)
    _check(merged)
    return merged


def own_names(fields):
    """`fields`, a dict such as a card's "config", with every field under its own name, in its phases too: none under an alias.

    The log tells of each alias once. Raises ValueError where a field is given under both of its names.
    """
    own = dict(own_pairs(fields.items()))
    if isinstance(own.get("phases"), (list, tuple)):
        own["phases"] = tuple(own_names(phase) if isinstance(phase, dict) else phase for phase in own["phases"])
    return own


def pixel_statistics(config) -> tuple[tuple, tuple]:
    """(mean, std) of a config or card: ImageNet's where they are left open."""
    return tuple(config.get("mean") or IMAGENET_MEAN), tuple(config.get("std") or IMAGENET_STD)


def phases_of(config):
    """The phases of `config`, each a full config of its own."""
    return [EasyDict({**config, **phase}) for phase in config.phases or ({},)]


def _check(config):
    for phase in config.phases:
        for name in phase:
            if name not in FIELDS or not FIELDS[name].per_phase:
                raise ValueError(f"phases: {_unknown(name, [name for name, field in FIELDS.items() if field.per_phase])}")
    config.phases = tuple({name: _typed(name, value) for name, value in phase.items()} for phase in config.phases)
    for values in phases_of(config):
        for name, value in values.items():
            _check_value(name, value)
        if values.cached_views and values.trainable != "head":
            raise ValueError(f"cached_views={values.cached_views} needs trainable='head': the features of a backbone that trains "
                             f"cannot be stored")
        if values.optimizer in SOLVED and not (values.trainable == "head" and values.cached_views):
            raise ValueError(f"optimizer={values.optimizer!r} needs trainable='head' and cached_views of 1 or more, received "
                             f"trainable={values.trainable!r} and cached_views={values.cached_views}: it solves a head on stored "
                             f"features")
        if (values.optimizer in SOLVED and values.tune_weight_decay != "no"
                and values.weight_decay != FIELDS["weight_decay"].default):
            raise ValueError(f"weight_decay={values.weight_decay} means nothing to "
                             f"tune_weight_decay={values.tune_weight_decay!r}, which chooses it: add tune_weight_decay=no")
        if values.nesterov and (values.optimizer != "sgd" or not values.momentum):
            raise ValueError(f"nesterov=True needs optimizer='sgd' and a momentum, received optimizer={values.optimizer!r} and "
                             f"momentum={values.momentum}: MindSpore's Momentum computes something else on CPU")
        if values.min_lr > values.lr_max:
            raise ValueError(f"min_lr={values.min_lr} is more than lr_max={values.lr_max}: the learning rate only falls")
        if 0 < values.ema_decay < LEAST_EMA_DECAY:
            raise ValueError(f"ema_decay={values.ema_decay} must be 0 or at least {LEAST_EMA_DECAY}: the average takes in the "
                             f"weights of every 8th step")
        if values.warmup_epochs >= values.epochs:
            raise ValueError(f"warmup_epochs={values.warmup_epochs} must be less than epochs={values.epochs}")
        if values.min_delta and not values.early_stopping_patience:
            raise ValueError(f"min_delta={values.min_delta} means nothing without early_stopping_patience: set that too")
        if values.cutmix_alpha and values.cached_views:
            raise ValueError(f"cutmix_alpha={values.cutmix_alpha} needs images, received cached_views={values.cached_views}: "
                             f"stored features have no boxes; take mixup_alpha, or cached_views=0")
        if values.accumulation_steps > 1 and config.teacher and config.class_weights:
            raise ValueError("accumulation_steps, teacher and class_weights do not go together: the parts of a batch would count "
                             "differently in the two losses; leave one out")
        if values.balanced_sampling and config.class_weights:
            raise ValueError("balanced_sampling and class_weights exclude each other: both make up for rare classes, give one")
    for name in ("distillation_temperature", "distillation_weight"):
        if not config.teacher and config[name] != FIELDS[name].default:
            raise ValueError(f"{name}={config[name]} means nothing without a teacher: name one with teacher=CHECKPOINT")
    if config.folds == 1:
        raise ValueError("folds=1 leaves no image to train on: set 2 or more, mostly 5, or 0 for no cross-validation")
    _check_meaning(config)
    if bool(config.mean) != bool(config.std):
        raise ValueError("mean and std belong together: set both or neither")
    _check_augmentation(config)
    for name in ("scale", "ratio", "erasing_scale", "erasing_ratio"):
        low, high = config[name]
        if not 0 < low <= high:
            raise ValueError(f"{name}={config[name]} must be two positive numbers, the smaller first")
    side = min(config.image_height, config.image_width)
    if config.cutout > side:
        raise ValueError(f"cutout={config.cutout} must be at most the images' {side} pixels")
    side = min((side, *(DATA_SETS[config.dataset].raw_size if config.dataset else ())))
    if config.crop_padding >= side:
        raise ValueError(f"crop_padding={config.crop_padding} must be less than the images' {side} pixels")


def _check_augmentation(config):
    """Raises ValueError for a policy or random erasing that no training image would get."""
    for name in ("erasing_scale", "erasing_ratio"):
        if config[name] != DEFAULTS[name] and not config.erasing_prob:
            raise ValueError(f"{name}={config[name]} means nothing to erasing_prob=0.0: nothing is erased")
    if config.policy and config.color_adjust not in (0, DEFAULTS.color_adjust):
        raise ValueError(f"color_adjust={config.color_adjust} means nothing to policy={config.policy!r}, which takes its place: "
                         f"leave it out, or the policy")
    for name in ("policy", "erasing_prob"):
        if config[name] and all(phase.cached_views == 1 for phase in phases_of(config)):
            raise ValueError(f"{name}={config[name]!r} means nothing to cached_views=1, the centre of each image: take "
                             f"cached_views of 2 or more, or with trainable=all cached_views=0")


def _check_value(name, value):
    """Raises ValueError if `value`, of the right type, is none of the choices of the field, or out of its range."""
    field = FIELDS[name]
    if field.choices and value not in field.allowed:
        raise ValueError(f"{name}={value!r} is not known; expected one of {', '.join(map(repr, field.allowed))}")
    if field.length:
        low, high = field.range
        if len(value) != field.length and value != field.default:
            raise ValueError(f"{name}={value} must have {field.length} numbers")
        if not all(isinstance(number, (int, float)) and low <= number <= high for number in value):  # not NaN either
            raise ValueError(f"{name}={value} must be numbers between {low:,} and {high:,}")
    elif field.range and not field.range[0] <= value <= field.range[1]:
        raise ValueError(f"{name}={value} must lie between {field.range[0]} and {field.range[1]}")


def _check_meaning(config):
    """Raises ValueError for a field that was set where nothing looks at it."""
    phases = phases_of(config)
    for name, field in FIELDS.items():
        if not field.meant_for:
            continue
        switch, values = field.meant_for
        own = [phase for phase, fields in zip(phases, config.phases) if name in fields]
        idle = [phase for phase in own or phases if phase[name] != field.default and phase[switch] not in values]
        if idle and (own or len(idle) == len(phases)):
            raise ValueError(f"{name}={idle[0][name]!r} means nothing to {switch}={idle[0][switch]!r}: it is for {switch}="
                             + " or ".join(map(repr, values)))


def _with_phase_field(phases, entry, value):
    """The phases with the field that `entry`, "1.epochs", names set to `value`."""
    number, _, field = entry.partition(".")
    if not number.isdigit() or int(number) >= len(phases) or field not in FIELDS or not FIELDS[field].per_phase:
        raise ValueError(f"phases.{entry}: expected phases.N.FIELD with N from 0 to {len(phases) - 1} and a field of a phase, "
                         f"such as phases.0.epochs")
    return tuple({**phase, field: value} if index == int(number) else phase for index, phase in enumerate(phases))


def own_pairs(pairs):
    """The (name, value) `pairs` under the names of their fields, as `own_names`; a name may be dotted."""
    given_as = {}
    for given, value in pairs:
        own = _own_name(given) if isinstance(given, str) else given
        if given_as.setdefault(own, given) != given:
            raise ValueError(f"{given_as[own]} and {given} are two names of one field: give one")
        if own != given and given not in _said:
            _said.add(given)
            log.warning("%s is another name of the field %s", given, own)
        yield own, value


def _own_name(name):
    """The name of the field that `name` stands for; dotted, as "phases.1.epochs", it stays so."""
    field, *entries = name.split(".")
    if field == "phases" and len(entries) == 2:
        entries[1] = ALIASES.get(entries[1], entries[1])
    return ".".join([ALIASES.get(field, field), *entries])


def split_pair(text):
    """(name, value) of a "field=value" text, both texts."""
    name, equals, value = text.partition("=")
    if not equals:
        raise ValueError(f"{text!r} is not of the form field=value")
    return name, value


def _typed(name, value):
    """`value` as the type of the field's default; texts are read as Python literals unless the field is a text."""
    kind = type(FIELDS[name].default)
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
    if name == "class_weights":
        return _class_weights(value)
    if name == "class_index" and isinstance(value, (list, tuple)):
        return number_classes(value)
    if name == "class_index" and isinstance(value, dict) and all(isinstance(folder, str) for folder in value):
        return ClassIndex(value)
    if not _has_plain_keys(value):
        raise ValueError(f"{name}={value!r} must have texts as keys")
    if kind is dict and isinstance(value, dict):
        return dict(value)  # a copy of an EasyDict would trip over a key called "items"
    if not isinstance(value, kind) or isinstance(value, bool):
        raise ValueError(f"{name}={value!r} must be of type {kind.__name__}")
    return tuple(map(own_names, value)) if name == "phases" else value


def _class_weights(value):
    """`value` of the field class_weights: "auto", or a `ClassWeights`. Raises ValueError for anything else."""
    if value == AUTO:
        return value
    low, high = CLASS_WEIGHT_RANGE
    if not isinstance(value, dict) or not all(isinstance(name, str) for name in value):
        raise ValueError(f"class_weights={value!r} must be {AUTO}, or a dict of weights by class, such as {{'rose': 3}}")
    for name, weight in value.items():
        if isinstance(weight, bool) or not isinstance(weight, (int, float)) or not low <= weight <= high:
            raise ValueError(f"class_weights of {name!r}={weight!r} must be a number between {low} and {high:,}")
    return ClassWeights({name: float(weight) for name, weight in value.items()})


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


def _unknown(name, fields=FIELDS):
    if OTHER_NAMES.get(name) in fields:
        return f"unknown field {name!r}; did you mean {OTHER_NAMES[name]!r}?"
    known = [*fields, *(alias for alias, own in ALIASES.items() if own in fields)]
    return f"unknown field {name!r}; " + did_you_mean(name, known, f"the fields are: {', '.join(fields)}")
