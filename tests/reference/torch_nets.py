"""The nets in PyTorch, as other people wrote them where a package has them, and else written from the papers.

`reference_net(case)` gives (module, keys): a torch module and, for each name in its state dict, the key of mindclf.
"""

import re

import torch
import torch.nn.functional as F

real_register_fake = torch.library.register_fake
torch.library.register_fake = lambda *arguments, **options: lambda function: function
import torchvision  # noqa: E402  (its compiled operators are not needed, and do not load on CPU builds of torch)

torch.library.register_fake = real_register_fake

BATCH_NORM = {"weight": "gamma", "bias": "beta", "running_mean": "moving_mean", "running_var": "moving_variance"}
RENAMED = {"fc.": "classifier.", "AuxLogits.": "auxiliary."}


def reference_net(case, num_classes):
    """(module, {name in its state dict: key of mindclf}) of a case; without dropout, so that training can be compared."""
    build = {"torchvision 0.28": torchvision_net, "pytorchcv 0.0.74": pytorchcv_net}.get(case.reference, functional_net)
    module, keys = build(case, num_classes)
    adapt(module, case.options)
    return module, keys


def adapt(module, options):
    """No dropout, and what Keras and TensorFlow do otherwise: batch norm's epsilon, ReLU6, their padding, the early stride."""
    for child in list(module.modules()):
        if isinstance(child, torch.nn.Dropout):
            child.p = 0.0
        if isinstance(child, torch.nn.BatchNorm2d) and "bn_epsilon" in options:
            child.eps = options["bn_epsilon"]
        if isinstance(child, torch.nn.Conv2d) and options.get("pad_mode") == "same" and child.stride == (2, 2):
            child.padding = (0, 0)
            child.register_forward_pre_hook(lambda conv, inputs: (pad_same(inputs[0]),))
        if type(child).__name__ == "Bottleneck" and options.get("stride_on") == "1x1":
            child.conv1.stride, child.conv2.stride = child.conv2.stride, child.conv1.stride
        for name, part in child.named_children():
            if type(part) is torch.nn.ReLU and options.get("activation") == "relu6":
                setattr(child, name, torch.nn.ReLU6())


def torchvision_net(case, num_classes):
    options = {name: value for name, value in case.options.items() if name in ("width_mult", "aux_logits")}
    if case.net == "inception_v3":
        options = {"aux_logits": False, **options, "init_weights": False}
    module = getattr(torchvision.models, case.net)(num_classes=num_classes, **options)
    if case.options.get("stem") == "cifar":
        module.conv1 = torch.nn.Conv2d(3, 64, 3, 1, 1, bias=False)
        module.maxpool = torch.nn.Identity()
    if "hidden_channels" in case.options:
        hidden, linear = case.options["hidden_channels"], [
            index for index, layer in enumerate(module.classifier) if isinstance(layer, torch.nn.Linear)]
        sizes = [module.classifier[linear[0]].in_features, hidden, hidden, num_classes]
        for index, inputs, outputs in zip(linear, sizes, sizes[1:]):
            module.classifier[index] = torch.nn.Linear(inputs, outputs)
    return module, mobilenet_v2_keys(module) if case.net == "mobilenet_v2" else torchvision_keys(module)


def torchvision_keys(module):
    keys = {}
    for name in weights_of(module):
        scope, _, value = name.rpartition(".")
        if isinstance(module.get_submodule(scope), torch.nn.BatchNorm2d):
            value = BATCH_NORM[value]
        key = f"{scope}.{value}"
        for old, new in RENAMED.items():
            key = new + key.removeprefix(old) if key.startswith(old) else key
        keys[name] = key
    return keys


def mobilenet_v2_keys(module):
    """torchvision keeps convolution and batch norm at .0 and .1, where the tutorial has .features.0 and .features.1."""
    keys = {}
    for name, key in torchvision_keys(module).items():
        key = re.sub(r"^(features\.\d+)\.([01]\.\w+)$", r"\1.features.\2", key)
        key = re.sub(r"^(features\.\d+\.conv\.\d+)\.([01]\.\w+)$", r"\1.features.\2", key)
        keys[name] = key.replace("classifier.1", "head.1")
    return keys


def pytorchcv_net(case, num_classes):
    """MobileNetV1; its layers come in the order of the paper's table, as mindclf's do."""
    from pytorchcv.models.mobilenet import get_mobilenet

    module = get_mobilenet(case.options.get("width_mult", 1.0), num_classes=num_classes)
    module.features.final_pool = torch.nn.AdaptiveAvgPool2d(1)
    if case.options.get("stem") == "cifar":
        module.features.init_block.conv.stride = (1, 1)
    convolutions = ["features.0.{}"] + [f"features.{block}.{part}.{{}}" for block in range(1, 14)
                                        for part in ("depthwise", "pointwise")]
    keys, position = {}, -1
    for name in weights_of(module):
        value = name.rpartition(".")[2]
        position += name.endswith("conv.weight")
        if name.startswith("output."):
            keys[name] = f"classifier.{value}"
        elif ".bn." in name:
            keys[name] = convolutions[position].format(f"1.{BATCH_NORM[value]}")
        else:
            keys[name] = convolutions[position].format("0.weight")
    return module, keys


def weights_of(module):
    return [name for name in module.state_dict() if not name.endswith("num_batches_tracked")]


def functional_net(case, num_classes):
    """ShuffleNetV1 and AsymmNet as functions of a dictionary of weights that makes the weights that it is asked for."""
    forward = {"shufflenet_v1": shufflenet_v1, "asymmnet_large": asymmnet, "asymmnet_small": asymmnet}[case.net]
    module = Functional(forward, {**case.options, "net": case.net, "num_classes": num_classes})
    with torch.no_grad():
        module.eval()(torch.zeros(1, 3, case.height, case.width))
    return module, {name: key for key, name in module.names.items()}


class Functional(torch.nn.Module):
    """forward(self, images, **options), which asks for weights by key and shape; they are made the first time."""

    def __init__(self, forward, options):
        super().__init__()
        self.function, self.options, self.names = forward, options, {}

    def forward(self, images):
        return self.function(self, images, **self.options)

    def weight(self, key, *shape, statistics=False):
        if key not in self.names:
            self.names[key] = key.replace(".", "/")
            make = self.register_buffer if statistics else self.register_parameter
            make(self.names[key], torch.ones(shape) if statistics else torch.nn.Parameter(torch.ones(shape)))
        return getattr(self, self.names[key])

    def conv(self, x, key, channels, size=1, stride=1, groups=1, bias=False):
        kernel = self.weight(f"{key}.weight", channels, x.shape[1] // groups, size, size)
        offset = self.weight(f"{key}.bias", channels) if bias else None
        return F.conv2d(x, kernel, offset, stride, size // 2, groups=groups)

    def grouped(self, x, key, channels, groups):
        """A convolution a group, side by side."""
        parts = x.chunk(groups, 1)
        return torch.cat([self.conv(part, f"{key}.convs.{i}", channels // groups) for i, part in enumerate(parts)], 1)

    def norm(self, x, key):
        channels = x.shape[1]
        return F.batch_norm(x, self.weight(f"{key}.moving_mean", channels, statistics=True),
                            self.weight(f"{key}.moving_variance", channels, statistics=True),
                            self.weight(f"{key}.gamma", channels), self.weight(f"{key}.beta", channels), self.training)

    def dense(self, x, key, outputs, bias=True):
        matrix = self.weight(f"{key}.weight", outputs, x.shape[1])
        return F.linear(x, matrix, self.weight(f"{key}.bias", outputs) if bias else None)


def pad_same(x):
    """Zeros as TensorFlow and MindSpore put them for "same" with kernel 3 and stride 2: the odd one comes last."""
    sides = []
    for size in x.shape[:1:-1]:
        total = max((-(-size // 2) - 1) * 2 + 3 - size, 0)
        sides += [total // 2, total - total // 2]
    return F.pad(x, sides)


def shufflenet_v1(self, x, num_classes, net, model_size="1.0x", group=3, stem="imagenet"):
    """arXiv:1707.01083, Table 1, with the tutorial's shuffle: channels as (C / g, g), transposed."""
    stage_channels = {1: (144, 288, 576), 2: (200, 400, 800), 3: (240, 480, 960), 4: (272, 544, 1088), 8: (384, 768, 1536)}[group]
    scale = float(model_size[:-1])
    first = {0.25: 6, 0.5: 12, 1.0: 24, 1.5: 24, 2.0: 48}[scale]
    while first % group:
        first += 1
    smallest = round(stage_channels[0] * scale / (4 * group) + 1e-9) * 4 * group
    x = F.relu(self.norm(self.conv(x, "first_conv.0", first, 3, 2 if stem == "imagenet" else 1), "first_conv.1"))
    if stem == "imagenet":
        x = F.max_pool2d(pad_same(x), 3, 2)
    number = 0
    for stage, units in enumerate((4, 8, 4)):
        channels = smallest * 2 ** stage
        for unit in range(units):
            key, stride = f"features.{number}", 2 if unit == 0 else 1
            y = self.grouped(x, f"{key}.branch_main_1.0", channels // 4, 1 if number == 0 else group)
            y = F.relu(self.norm(y, f"{key}.branch_main_1.1"))
            y = torch.cat([y[:, start::group] for start in range(group)], 1)
            y = self.norm(self.conv(y, f"{key}.branch_main_2.0", y.shape[1], 3, stride, y.shape[1]), f"{key}.branch_main_2.1")
            y = self.grouped(y, f"{key}.branch_main_2.2", channels - x.shape[1] if stride == 2 else channels, group)
            y = self.norm(y, f"{key}.branch_main_2.3")
            if stride == 2:
                average = F.avg_pool2d(pad_same(x), 3, 2) / F.avg_pool2d(pad_same(torch.ones_like(x)), 3, 2)
                x = F.relu(torch.cat([average, y], 1))
            else:
                x = F.relu(x + y)
            number += 1
    return self.dense(x.mean((2, 3)), "classifier", num_classes)


ASYMMNET = {  # kernel, expanded, out, squeeze-and-excite, activation, stride
    "asymmnet_large": """3 16 16 - relu 1, 3 64 24 - relu 2, 3 72 24 - relu 1, 5 72 40 se relu 2, 5 120 40 se relu 1,
        5 120 40 se relu 1, 3 240 80 - hs 2, 3 200 80 - hs 1, 3 184 80 - hs 1, 3 184 80 - hs 1, 3 480 112 se hs 1,
        3 672 112 se hs 1, 5 672 160 se hs 2, 5 960 160 se hs 1, 5 960 160 se hs 1""",
    "asymmnet_small": """3 16 16 se relu 2, 3 72 24 - relu 2, 3 88 24 - relu 1, 5 96 40 se hs 2, 5 240 40 se hs 1,
        5 240 40 se hs 1, 5 120 48 se hs 1, 5 144 48 se hs 1, 5 288 96 se hs 2, 5 576 96 se hs 1, 5 576 96 se hs 1""",
}


def asymmnet(self, x, num_classes, net, asymmrate=1, width_mult=1.0):
    """arXiv:2104.07770: the input is copied r times before and after the maps that the expansion makes."""
    def width(channels):
        return int(-(-channels * width_mult // 8) * 8)

    x = F.hardswish(self.norm(self.conv(x, "features.0.0", width(16), 3, 2), "features.0.1"))
    rows = ASYMMNET[net].split(",")
    for number, row in enumerate(rows, start=1):
        kernel, expanded, out, squeeze, activation, stride = row.split()
        act = {"relu": F.relu, "hs": F.hardswish}[activation]
        key, expanded, out, stride, y = f"features.{number}", width(int(expanded)), width(int(out)), int(stride), x
        if expanded > max(x.shape[1], asymmrate * x.shape[1]):
            made = self.conv(x, f"{key}.expand.0", expanded - asymmrate * x.shape[1])
            y = torch.cat([x] * asymmrate + [act(self.norm(made, f"{key}.expand.1"))] + [x] * asymmrate, 1)
        y = self.conv(y, f"{key}.depthwise.0", y.shape[1], int(kernel), stride, y.shape[1])
        y = act(self.norm(y, f"{key}.depthwise.1"))
        if squeeze == "se":
            reduced = -(-(y.shape[1] // 4) // 8) * 8
            gate = F.relu(self.conv(y.mean((2, 3), keepdim=True), f"{key}.squeeze_excite.squeeze", reduced, bias=True))
            y = y * F.hardsigmoid(self.conv(gate, f"{key}.squeeze_excite.excite", y.shape[1], bias=True))
        y = self.norm(self.conv(y, f"{key}.project.0", out), f"{key}.project.1")
        x = x + y if stride == 1 and out == x.shape[1] else y
    key = f"features.{len(rows) + 1}"
    x = self.conv(x, f"{key}.0", width({"asymmnet_large": 960, "asymmnet_small": 576}[net]))
    x = F.hardswish(self.norm(x, f"{key}.1")).mean((2, 3))
    return self.dense(F.hardswish(self.dense(x, "classifier.0", 1280, bias=False)), "classifier.3", num_classes)
