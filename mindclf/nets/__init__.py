"""The networks. One paper, one file; `NETS` lists what `create_net` builds."""

import inspect

from mindclf.nets.layers import GlobalAvgPooling, freeze, make_divisible, unfreeze
from mindclf.nets.mobilenet_v2 import (
    ConvBNReLU,
    InvertedResidual,
    MobileNetV2,
    MobileNetV2Backbone,
    MobileNetV2Head,
    mobilenet_v2,
)

__all__ = ["NETS", "ConvBNReLU", "GlobalAvgPooling", "InvertedResidual", "MobileNetV2", "MobileNetV2Backbone",
           "MobileNetV2Head", "create_net", "freeze", "make_divisible", "mobilenet_v2", "unfreeze"]

NETS = {"mobilenet_v2": MobileNetV2}  # each is called with num_classes and its own options, and has .backbone and .head


def create_net(name, num_classes, **options):
    """The net called `name` with `num_classes` outputs; `options` are the further arguments of its class.

    Raises ValueError for a name that is not in NETS, or an option that the net does not have.
    """
    if name not in NETS:
        raise ValueError(f"net={name!r} is not known; the nets are: {', '.join(NETS)}")
    try:
        inspect.signature(NETS[name]).bind(num_classes=num_classes, **options)
    except TypeError as error:
        raise ValueError(f"net {name}: {error}") from None
    return NETS[name](num_classes=num_classes, **options)
