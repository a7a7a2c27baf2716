"""The networks. One paper, one file; `NETS` lists what `create_net` builds."""

import inspect
import math
from collections.abc import Mapping
from functools import partial
from typing import Any

from mindclf.device import exclusive
from mindclf.nets.alexnet import AlexNet
from mindclf.nets.asymmnet import AsymmNet
from mindclf.nets.densenet import DenseNet
from mindclf.nets.dropout import seed_dropout
from mindclf.nets.fold import fold_batch_norm, fold_in_place
from mindclf.nets.fuse import fuse_separable
from mindclf.nets.inception_v3 import InceptionV3
from mindclf.nets.layers import (
    HEAD_KEYS,
    GlobalAvgPooling,
    ImageClassifier,
    check_drop_path,
    freeze,
    make_divisible,
    set_drop_path,
    unfreeze,
)
from mindclf.nets.mobilenet_v1 import MobileNetV1
from mindclf.nets.mobilenet_v2 import (
    ConvBNReLU,
    InvertedResidual,
    MobileNetV2,
    MobileNetV2Backbone,
    MobileNetV2Head,
    mobilenet_v2,
)
from mindclf.nets.resnet import ResNet
from mindclf.nets.shufflenet_v1 import GroupConv, ShuffleNetV1, ShuffleV1Block, shufflenet_v1
from mindclf.nets.squeezenet import SqueezeNet
from mindclf.nets.vgg import VGG
from mindclf.utils.files import first_line
from mindclf.utils.hints import did_you_mean

__all__ = ["HEAD_KEYS", "NETS", "VGG", "AlexNet", "AsymmNet", "ConvBNReLU", "DenseNet", "GlobalAvgPooling", "GroupConv",
           "ImageClassifier", "InceptionV3", "InvertedResidual", "MobileNetV1", "MobileNetV2", "MobileNetV2Backbone",
           "MobileNetV2Head", "ResNet", "ShuffleNetV1", "ShuffleV1Block", "SqueezeNet", "build_net", "check_drop_path",
           "create_net", "default_options", "fold_batch_norm", "fold_in_place", "freeze", "fuse_separable", "list_nets",
           "make_divisible", "mobilenet_v2", "seed_dropout", "set_drop_path", "shufflenet_v1", "unfreeze"]

# Each is called with num_classes and its own options, and makes an ImageClassifier.
NETS = {
    "mobilenet_v1": MobileNetV1,
    "mobilenet_v2": MobileNetV2,
    "shufflenet_v1": shufflenet_v1,
    "asymmnet_large": partial(AsymmNet, model_size="large"),
    "asymmnet_small": partial(AsymmNet, model_size="small"),
    "resnet18": partial(ResNet, depth=18),
    "resnet34": partial(ResNet, depth=34),
    "resnet50": partial(ResNet, depth=50),
    "resnet101": partial(ResNet, depth=101),
    "resnet152": partial(ResNet, depth=152),
    "vgg11": partial(VGG, depth=11, batch_norm=False),
    "vgg13": partial(VGG, depth=13, batch_norm=False),
    "vgg16": partial(VGG, depth=16, batch_norm=False),
    "vgg19": partial(VGG, depth=19, batch_norm=False),
    "vgg11_bn": partial(VGG, depth=11, batch_norm=True),
    "vgg13_bn": partial(VGG, depth=13, batch_norm=True),
    "vgg16_bn": partial(VGG, depth=16, batch_norm=True),
    "vgg19_bn": partial(VGG, depth=19, batch_norm=True),
    "alexnet": AlexNet,
    "squeezenet1_0": partial(SqueezeNet, version="1_0"),
    "squeezenet1_1": partial(SqueezeNet, version="1_1"),
    "densenet121": partial(DenseNet, depth=121),
    "densenet161": partial(DenseNet, depth=161),
    "densenet169": partial(DenseNet, depth=169),
    "densenet201": partial(DenseNet, depth=201),
    "inception_v3": InceptionV3,
}
RANGES = {  # of options: (smallest, largest) value
    "width_mult": (0.01, 16), "resolution_mult": (0.01, 16), "bn_epsilon": (1e-12, 1), "dropout": (0, 0.99),
    "hidden_channels": (1, 65_536), "round_nearest": (1, 1024), "input_channel": (1, 65_536), "last_channel": (1, 65_536),
    "stem_padding": (0, 3),
}


def list_nets() -> list[str]:
    """The names of the nets that `create_net` makes."""
    return list(NETS)


def create_net(name: str, num_classes: int = 1000, **options: Any) -> ImageClassifier:
    """The net called `name` with `num_classes` outputs; `options` are the further arguments of its class.

    It is initialised at random; mindclf.create_net also loads pretrained weights. Raises ValueError for a name that is not in
    NETS, and for options that the net does not have or cannot be built with.
    """
    return build_net(name, num_classes, options)


@exclusive()
def build_net(name: str, num_classes: int, options: Mapping[str, Any]) -> ImageClassifier:
    """As `create_net`, with the options in a dict, as configs and cards have them: it may have anything for a key."""
    check_name(name)
    build = NETS[name]
    try:
        net = build(num_classes=num_classes, **_checked(name, build, options))
    except (TypeError, ValueError, ArithmeticError) as error:
        raise ValueError(f"net {name} cannot be built with net_options={dict(options)}: {first_line(error)}") from None
    net.net_name, net.net_options, net.num_classes = name, dict(options), num_classes
    return net


def check_name(name):
    """Raises ValueError for a name that is not in NETS."""
    if name not in NETS:
        raise ValueError(f"net={name!r} is not known; " + did_you_mean(str(name), NETS, f"the nets are: {', '.join(NETS)}"))


def default_options(name: str) -> dict[str, Any]:
    """The options of the net called `name`, with their defaults."""
    fixed = getattr(NETS[name], "keywords", {})
    return {option: parameter.default for option, parameter in inspect.signature(NETS[name]).parameters.items()
            if option != "num_classes" and option not in fixed}


def _checked(name, build, options):
    """`options` in the types and ranges that the net's class takes; a whole number will do for a fraction."""
    fixed = getattr(build, "keywords", {})
    known = default_options(name)
    checked = {}
    for option, value in options.items():
        if option in fixed:
            raise ValueError(f"the name {name} says what {option} is")
        if option not in known:
            raise ValueError(f"it has no option {option!r}; its options are: {', '.join(known) or 'none'}")
        kind = type(known[option])
        if kind is float and type(value) is int:
            value = float(value)
        if known[option] is not None and type(value) is not kind:
            raise ValueError(f"{option}={value!r} must be of type {kind.__name__}")
        low, high = RANGES.get(option, (-math.inf, math.inf))
        if option in RANGES and not low <= value <= high:
            raise ValueError(f"{option}={value} must lie between {low:g} and {high:g}")
        checked[option] = value
    return checked


def _function_of(name):
    def make(num_classes: int = 1000, **options: Any) -> ImageClassifier:
        return create_net(name, num_classes, **options)

    make.__name__ = make.__qualname__ = name
    make.__doc__ = f"""The net {name} with `num_classes` outputs: see `create_net`."""
    return make


# from mindclf.nets import resnet18: a function for each net, also where its file has the name.
globals().update({name: _function_of(name) for name in NETS if name not in __all__})
