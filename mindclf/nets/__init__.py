"""The networks. One paper, one file; `NETS` lists what `create_net` builds."""

from functools import partial

from mindclf.files import first_line
from mindclf.nets.asymmnet import AsymmNet
from mindclf.nets.layers import HEAD_KEYS, GlobalAvgPooling, ImageClassifier, freeze, make_divisible, unfreeze
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

__all__ = ["HEAD_KEYS", "NETS", "AsymmNet", "ConvBNReLU", "GlobalAvgPooling", "GroupConv", "ImageClassifier", "InvertedResidual",
           "MobileNetV1", "MobileNetV2", "MobileNetV2Backbone", "MobileNetV2Head", "ResNet", "ShuffleNetV1", "ShuffleV1Block",
           "create_net", "freeze", "make_divisible", "mobilenet_v2", "shufflenet_v1", "unfreeze"]

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
}


def create_net(name, num_classes, **options):
    """The net called `name` with `num_classes` outputs; `options` are the further arguments of its class.

    Raises ValueError for a name that is not in NETS, and for options that the net does not have or cannot be built with.
    """
    if name not in NETS:
        raise ValueError(f"net={name!r} is not known; the nets are: {', '.join(NETS)}")
    build = NETS[name]
    fixed = [option for option in options if option in getattr(build, "keywords", ())]  # partial would let them be replaced
    try:
        if fixed:
            raise ValueError(f"the name {name} says what {', '.join(fixed)} is")
        return build(**options, num_classes=num_classes)
    except (TypeError, ValueError, ArithmeticError) as error:
        raise ValueError(f"net {name} cannot be built with net_options={options}: {first_line(error)}") from None
