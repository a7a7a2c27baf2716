"""The nets of mindcv, and those of MindSpore Hub made of them, for make_zoos.py.

mindcv's classes are taken as they are. MindSpore Hub's nets (mindspore-ai/models) differ from them in names and in a few layers:
they are mindcv's, built with other layers in their place, under names that are written here a second time.
"""

import contextlib
import importlib
import re
from dataclasses import dataclass, field

from mindspore import nn, ops

NUM_CLASSES = 10
HIDDEN = 64  # of VGG's 4096: what is left of a hundred million weights


@dataclass(frozen=True)
class ZooCase:
    """A net of `origin`, the options that mindclf's needs to compute the same, and sizes of images; no sizes: names alone."""

    origin: str
    net: str
    model: str                                    # mindcv's function
    options: dict = field(default_factory=dict)   # of mindclf's net
    sizes: tuple = ()

    @property
    def name(self):
        shaping = [f"{name}={self.options[name]}" for name in ("width_mult", "model_size", "group", "hidden_channels")
                   if name in self.options]
        return " ".join([self.origin, self.net, *shaping])


EVEN_AND_ODD = ((64, 64), (65, 97))  # under pad_mode "same" an even size is padded otherwise than an odd one
SQUEEZED, LARGE, VGG_SIZES = ((66, 66), (65, 99)), ((112, 112), (111, 139)), ((224, 224), (230, 241))
SQUEEZENET1_1 = {"ceil_mode": False, "stem_padding": 1}
TENSORFLOW = {"pad_mode": "same", "pool_pad_mode": "same", "bn_epsilon": 1e-4}


def of_width(width):
    return {"width_mult": width} if width != 1 else {}


CASES = [
    *(ZooCase("mindcv", "mobilenet_v1", f"mobilenet_v1_{round(100 * width):03}", of_width(width), sizes)
      for width, sizes in ((0.25, EVEN_AND_ODD), (0.5, ()), (0.75, ()), (1.0, EVEN_AND_ODD))),
    *(ZooCase("mindcv", "mobilenet_v2", f"mobilenet_v2_{round(100 * width):03}" + "_224" * (width < 0.75), of_width(width), sizes)
      for width, sizes in ((0.35, ()), (0.5, ()), (0.75, EVEN_AND_ODD), (1.0, EVEN_AND_ODD), (1.4, ()))),
    *(ZooCase("mindcv", "shufflenet_v1", f"shufflenet_v1_g{group}_{size[0]}{size[2]}", {"group": group, "model_size": size},
              sizes) for group in (3, 8) for size, sizes in (("0.5x", EVEN_AND_ODD), ("1.0x", ()), ("1.5x", ()), ("2.0x", ()))),
    *(ZooCase("mindcv", f"resnet{depth}", f"resnet{depth}", {"pool_pad_mode": "same"}, EVEN_AND_ODD if depth in (18, 50) else ())
      for depth in (18, 34, 50, 101, 152)),
    *(ZooCase("mindcv", f"vgg{depth}", f"vgg{depth}", {"hidden_channels": HIDDEN}, VGG_SIZES if depth == 11 else ())
      for depth in (11, 13, 16, 19)),
    ZooCase("mindcv", "vgg11", "vgg11"),
    ZooCase("mindcv", "squeezenet1_0", "squeezenet1_0", {"ceil_mode": False}, SQUEEZED),
    ZooCase("mindcv", "squeezenet1_1", "squeezenet1_1", SQUEEZENET1_1, SQUEEZED),
    *(ZooCase("mindcv", f"densenet{depth}", f"densenet{depth}", {}, EVEN_AND_ODD if depth == 121 else ())
      for depth in (121, 161, 169, 201)),
    ZooCase("mindcv", "inception_v3", "inception_v3", {"count_include_pad": False, "aux_logits": True}, LARGE),
    ZooCase("hub", "mobilenet_v1", "mobilenet_v1_100", {"activation": "relu6", "pad_mode": "same"}, EVEN_AND_ODD),
    ZooCase("hub", "mobilenet_v2", "mobilenet_v2_100", {}, EVEN_AND_ODD),
    ZooCase("hub", "shufflenet_v1", "shufflenet_v1_g3_20", {"group": 3, "model_size": "2.0x"}, EVEN_AND_ODD),
    ZooCase("hub", "resnet18", "resnet18", {}, EVEN_AND_ODD),
    ZooCase("hub", "resnet34", "resnet34", {}),
    ZooCase("hub", "resnet50", "resnet50", TENSORFLOW, EVEN_AND_ODD),
    ZooCase("hub", "resnet101", "resnet101", TENSORFLOW),
    ZooCase("hub", "resnet152", "resnet152", TENSORFLOW),
    ZooCase("hub", "vgg16", "vgg16", {"hidden_channels": HIDDEN}),
    ZooCase("hub", "vgg16_bn", "vgg16", {"hidden_channels": HIDDEN}),
    ZooCase("hub", "vgg19", "vgg19", {"hidden_channels": HIDDEN}),
    ZooCase("hub", "squeezenet1_0", "squeezenet1_0", {"ceil_mode": False}, SQUEEZED),
    ZooCase("hub", "squeezenet1_1", "squeezenet1_1", SQUEEZENET1_1, SQUEEZED),
    ZooCase("hub", "inception_v3", "inception_v3", {"count_include_pad": False}, LARGE),
    ZooCase("hub", "densenet121", "densenet121", {"transition_pool": "max", "pool_pad_mode": "same"}, EVEN_AND_ODD),
]


class Layers:
    """mindspore.nn with some of its layers replaced."""

    def __init__(self, **replaced):
        self.__dict__.update(replaced)

    def __getattr__(self, name):
        return getattr(nn, name)


@contextlib.contextmanager
def built_with(model, **layers):
    """Has mindcv's file of `model` find these layers in `nn` while the block runs."""
    import mindcv.models as models

    module = importlib.import_module(getattr(models, model).__module__)
    module.nn = Layers(**layers)
    try:
        yield
    finally:
        module.nn = nn


class SameConv2d(nn.Conv2d):
    """A convolution with TensorFlow's padding, whatever mindcv asks for."""

    def __init__(self, *arguments, **options):
        super().__init__(*arguments, **{**options, "padding": 0, "pad_mode": "same"})


class LooseBatchNorm2d(nn.BatchNorm2d):
    """A batch norm with the epsilon of MindSpore Hub's ResNets."""

    def __init__(self, channels):
        super().__init__(channels, eps=1e-4)


class BiasedDense(nn.Dense):
    """A dense layer with a bias, whatever mindcv asks for."""

    def __init__(self, inputs, outputs, has_bias=True):
        super().__init__(inputs, outputs)


def hub_layers(case):
    """The layers in which a net of MindSpore Hub differs from mindcv's: {name in nn: what makes it}."""
    if case.net == "mobilenet_v1":
        return {"Conv2d": SameConv2d, "ReLU": nn.ReLU6}
    if case.net in ("resnet50", "resnet101", "resnet152"):
        return {"Conv2d": SameConv2d, "BatchNorm2d": LooseBatchNorm2d}
    if case.net == "shufflenet_v1":
        return {"Dense": BiasedDense}
    if case.net == "densenet121":
        return {"AvgPool2d": nn.MaxPool2d, "Pad": lambda **options: nn.Identity(),
                "MaxPool2d": lambda kernel_size, stride: nn.MaxPool2d(kernel_size, stride, pad_mode="same")}
    return {}


def build(case):
    """(the net, {its parameter's name: the name in a file of the origin}), with NUM_CLASSES outputs."""
    import mindcv.models as models

    options = {"batch_norm": True} if case.net.endswith("_bn") else {}
    with built_with(case.model, **(hub_layers(case) if case.origin == "hub" else {})):
        net = getattr(models, case.model)(num_classes=NUM_CLASSES, **options)
    if "hidden_channels" in case.options:
        net.classifier = nn.SequentialCell([nn.Dense(512 * 49, HIDDEN), nn.ReLU(), nn.Dropout(p=0.5), nn.Dense(HIDDEN, HIDDEN),
                                            nn.ReLU(), nn.Dropout(p=0.5), nn.Dense(HIDDEN, NUM_CLASSES)])
    if case.origin == "hub" and case.net in ("resnet18", "resnet34"):
        for name, cell in net.cells_and_names():
            if re.fullmatch(r"layer\d\.\d+\.bn\d", name):
                cell.bn_infer = ops.BatchNorm(is_training=False, epsilon=1e-4, data_format="NCHW")
        net.max_pool = nn.SequentialCell([nn.Pad(((0, 0), (0, 0), (1, 1), (1, 1))), nn.MaxPool2d(3, 2)])
    names = [parameter.name for parameter in net.get_parameters()]
    if case.origin == "mindcv":
        return net.set_train(False), {name: name for name in names}
    return net.set_train(False), {name: hub_name(case.net, name) for name in names if not name.startswith("aux.")}


def parts(case, name, shape):
    """[(name in the file, shape)] of a parameter: MindSpore Hub's ShuffleNetV1 has a kernel for each group."""
    grouped = re.match(r"features\.(\d+)\.branch_main_(1\.0|2\.2)\.weight$", name)
    if case.origin != "hub" or case.net != "shufflenet_v1" or not grouped:
        return [(name, shape)]
    count = 1 if grouped[1] == "0" and grouped[2] == "1.0" else case.options["group"]
    return [(name.replace(".weight", f".convs.{number}.weight"), (shape[0] // count, *shape[1:])) for number in range(count)]


def hub_name(net, name):
    """The name in a file of MindSpore Hub of what mindcv calls `name`."""
    if net == "mobilenet_v1":
        name = name.replace("classifier.", "fc.")
        name = re.sub(r"^features\.([01])\.(?=\w+$)", r"network.0.\1.", name)
        return re.sub(r"^features\.(\d+)\.([0134])\.",
                      lambda m: f"network.{2 * int(m[1]) - 5 + (m[2] in '34')}.{int(m[2]) % 3}.", name)
    if net == "mobilenet_v2":
        return hub_mobilenet_v2(name)
    if net.startswith("resnet"):
        name = name.replace(".down_sample.", ".down_sample_layer.").replace("classifier.", "end_point.")
        return re.sub(r"^(layer\d\.\d+\.bn\d)", r"\1d", name) if net in ("resnet18", "resnet34") else name
    if net.startswith("vgg"):
        return re.sub(r"^features", "layers", name)
    if net.startswith("squeezenet"):
        return name.replace("classifier.1.", "final_conv.")
    if net == "inception_v3":
        name = re.sub(r"^conv(\d\w)", r"Conv2d_\1", name)
        name = re.sub(r"^inception(\d\w)", r"Mixed_\1", name)
        return re.sub(r"\.branch([12])([ab])\.", r".branch\1_\2.", name).replace("classifier.", "logits.fc.")
    if net.startswith("densenet"):
        return re.sub(r"^features", "backbone.features", name).replace("classifier.", "head.fc.")
    return name


def hub_mobilenet_v2(name):
    """MindSpore's tutorial has a block of convolution, batch norm and ReLU as a cell of its own."""
    match = re.match(r"features\.(\d+)\.(layers\.(\d)\.)?(\w+)$", name)
    if not match:
        return name.replace("classifier.1.", "dense.")
    number, layer, value = int(match[1]), match[3], match[4]
    if layer is None:
        block, inner = (0, number) if number < 2 else (18, number - 20)
        return f"features.{block}.features.{inner}.{value}"
    whole = 1 if number == 3 else 2  # such cells in the block, of three layers each
    cell, inner = divmod(int(layer), 3)
    place = f"{cell}.features.{inner}" if cell < whole else f"{whole + inner}"
    return f"features.{number - 2}.conv.{place}.{value}"
