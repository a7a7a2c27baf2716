"""What is compared: nets with options, image sizes, and what each is compared with. Sizes are odd and not square on purpose."""

from dataclasses import dataclass, field

NUM_CLASSES = 10


@dataclass(frozen=True)
class Case:
    """A net of mindclf, the size of its images, and the name of the reference: see torch_nets.py."""

    net: str
    height: int
    width: int
    reference: str
    options: dict = field(default_factory=dict)
    gradients: bool = False

    @property
    def name(self):
        return " ".join([self.net, *(f"{option}={value}" for option, value in self.options.items())])


TORCHVISION, PYTORCHCV, FUNCTIONAL = "torchvision 0.28", "pytorchcv 0.0.74", "tests/reference/torch_nets.py"
SMALL_HEAD = {"hidden_channels": 64}  # of 4096: what is left of a hundred million weights

# One case for each row of NETS, in its order, then further options.
CASES = [
    Case("mobilenet_v1", 65, 97, PYTORCHCV, gradients=True),
    Case("mobilenet_v2", 65, 97, TORCHVISION, gradients=True),
    Case("shufflenet_v1", 65, 97, FUNCTIONAL, gradients=True),
    Case("asymmnet_large", 65, 97, FUNCTIONAL, gradients=True),
    Case("asymmnet_small", 65, 97, FUNCTIONAL),
    Case("resnet18", 65, 97, TORCHVISION, gradients=True),
    *(Case(f"resnet{depth}", 65, 97, TORCHVISION, gradients=depth == 50) for depth in (34, 50, 101, 152)),
    *(Case(f"vgg{depth}{norm}", 41, 67, TORCHVISION, SMALL_HEAD, gradients=depth == 11)
      for norm in ("", "_bn") for depth in (11, 13, 16, 19)),
    Case("alexnet", 79, 99, TORCHVISION, SMALL_HEAD, gradients=True),
    Case("squeezenet1_0", 65, 99, TORCHVISION, gradients=True),
    Case("squeezenet1_1", 65, 99, TORCHVISION),
    *(Case(f"densenet{depth}", 65, 97, TORCHVISION, gradients=depth == 121) for depth in (121, 161, 169, 201)),
    Case("inception_v3", 111, 139, TORCHVISION, gradients=True),
    # Further options.
    Case("mobilenet_v1", 32, 33, PYTORCHCV, {"stem": "cifar"}),
    Case("mobilenet_v1", 65, 97, PYTORCHCV, {"width_mult": 0.5}),
    Case("mobilenet_v1", 64, 98, PYTORCHCV, {"activation": "relu6", "pad_mode": "same", "bn_epsilon": 1e-3}),
    Case("mobilenet_v2", 64, 98, TORCHVISION, {"pad_mode": "same", "bn_epsilon": 1e-3}),
    Case("mobilenet_v2", 65, 97, TORCHVISION, {"width_mult": 0.5}),
    Case("shufflenet_v1", 32, 33, FUNCTIONAL, {"stem": "cifar", "group": 1, "model_size": "0.5x"}),
    *(Case("shufflenet_v1", 64, 50, FUNCTIONAL, {"group": group, "model_size": size})
      for group, size in ((2, "0.25x"), (4, "0.5x"), (8, "1.5x"), (3, "2.0x"))),
    Case("asymmnet_large", 64, 50, FUNCTIONAL, {"asymmrate": 0, "width_mult": 0.35}),
    Case("asymmnet_small", 64, 50, FUNCTIONAL, {"asymmrate": 2, "width_mult": 0.75}),
    Case("resnet18", 32, 33, TORCHVISION, {"stem": "cifar"}),
    Case("resnet50", 65, 97, TORCHVISION, {"stride_on": "1x1", "bn_epsilon": 1.001e-5}),
    Case("vgg11", 224, 224, TORCHVISION),
    Case("inception_v3", 299, 299, TORCHVISION, {"aux_logits": True}, gradients=True),
]
# One net of each kind: the other rows are one of these, deeper or wider.
KINDS = [case for case in CASES if case.gradients and case.options in ({}, SMALL_HEAD)]
