"""Counts from outside this code: trainable parameters, and millions of multiply-accumulates (MACs) of an image.

Those of the five tutorials' nets are the exact figures of the project's specification, which the papers give rounded.
Left out are the 45,142,208 MACs of MobileNetV1 on CIFAR-10 in its tutorial: they come from a first layer without padding.
"""

from dataclasses import dataclass, field


@dataclass(frozen=True)
class Published:
    """A figure from `source`. `mmacs` is rounded as the source rounds it, to `decimals`; None where it gives none."""

    net: str
    num_classes: int
    parameters: int
    source: str
    options: dict = field(default_factory=dict)
    size: int = 224
    mmacs: float | None = None
    decimals: int = 1

    @property
    def name(self):
        return " ".join([self.net, str(self.num_classes), *map(str, self.options.values()), str(self.size)])


SPECIFICATION, TORCHVISION = "the project's specification", "torchvision's list of weights"
CIFAR = {"stem": "cifar"}

PUBLISHED = [
    Published("mobilenet_v1", 1000, 4_231_976, SPECIFICATION, mmacs=568.7),
    Published("mobilenet_v1", 1000, 470_072, SPECIFICATION, {"width_mult": 0.25}, mmacs=41.0),
    Published("mobilenet_v1", 10, 3_217_226, SPECIFICATION, CIFAR, size=32, mmacs=46.354432, decimals=6),
    Published("mobilenet_v2", 1000, 3_504_872, SPECIFICATION),
    Published("mobilenet_v2", 26, 2_257_178, SPECIFICATION, mmacs=299.5),
    *(Published("shufflenet_v1", 10, parameters, SPECIFICATION, {"model_size": size}, mmacs=mmacs)
      for size, parameters, mmacs in (
        ("0.5x", 242_134, 37.1), ("1.0x", 914_338, 136.5), ("1.5x", 2_015_578, 291.0), ("2.0x", 3_548_986, 522.1))),
    *(Published("shufflenet_v1", 10, parameters, SPECIFICATION, {"model_size": size, **CIFAR}, 32, mmacs)
      for size, parameters, mmacs in (
        ("0.5x", 242_134, 11.1), ("1.0x", 914_338, 42.6), ("1.5x", 2_015_578, 93.0), ("2.0x", 3_548_986, 166.5))),
    Published("asymmnet_large", 1000, 6_076_608, SPECIFICATION, mmacs=216.9),
    Published("asymmnet_large", 16, 4_816_104, SPECIFICATION),
    Published("asymmnet_large", 1000, 2_844_976, SPECIFICATION, {"width_mult": 0.5}, mmacs=67.2),
    Published("asymmnet_small", 1000, 3_131_896, SPECIFICATION, mmacs=57.7),
    Published("asymmnet_small", 16, 1_871_392, SPECIFICATION),
    *(Published(net, 1000, parameters, TORCHVISION) for net, parameters in (
        ("resnet18", 11_689_512), ("resnet34", 21_797_672), ("resnet50", 25_557_032), ("resnet101", 44_549_160),
        ("resnet152", 60_192_808),
        ("vgg11", 132_863_336), ("vgg13", 133_047_848), ("vgg16", 138_357_544), ("vgg19", 143_667_240),
        ("vgg11_bn", 132_868_840), ("vgg13_bn", 133_053_736), ("vgg16_bn", 138_365_992), ("vgg19_bn", 143_678_248),
        ("alexnet", 61_100_840), ("squeezenet1_0", 1_248_424), ("squeezenet1_1", 1_235_496),
        ("densenet121", 7_978_856), ("densenet161", 28_681_000), ("densenet169", 14_149_480), ("densenet201", 20_013_928))),
    Published("inception_v3", 1000, 27_161_264, TORCHVISION, {"aux_logits": True}, size=299),
]
