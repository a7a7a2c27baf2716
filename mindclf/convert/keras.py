"""Keras's models in .h5 files: the whole model, or its weights by layer, with the names of keras.applications."""

import re

import numpy as np

from mindclf.convert.foreign import TO_ONE, Foreign, family_of, inverted_residual, place, tensorflow_layout
from mindclf.utils.extras import require
from mindclf.utils.files import first_line

CAFFE = {"mean": (123.68, 116.779, 103.939), "std": (1.0, 1.0, 1.0)}  # Keras's resnets have seen such pixels, blue first
TENSORFLOW = {"pad_mode": "same", "bn_epsilon": 1e-3}
LAYERS = {"conv": 0, "bn": 1}


def residual(match):
    """conv3_block2_1_bn -> layer2.1.bn1; branch 0 is the shortcut."""
    stage, block, branch, kind = match.groups()
    layer = f"downsample.{LAYERS[kind]}" if branch == "0" else f"{kind}{branch}"
    return f"layer{int(stage) - 1}.{int(block) - 1}.{layer}"


# The module that a layer is, for each family: rows of pattern and replacement, of which the one that fits the whole name applies.
RESNET = (
    (r"conv1_conv", "conv1"),
    (r"conv1_bn", "bn1"),
    (r"conv(\d)_block(\d+)_([0-3])_(conv|bn)", residual),
    (r"predictions|probs|fc1000", "classifier"),
)
FAMILIES = {
    "mobilenet_v1": (
        (r"conv1", "features.0.0"),
        (r"conv1_bn", "features.0.1"),
        (r"conv_dw_(\d+)", r"features.\1.depthwise.0"),
        (r"conv_dw_(\d+)_bn", r"features.\1.depthwise.1"),
        (r"conv_pw_(\d+)", r"features.\1.pointwise.0"),
        (r"conv_pw_(\d+)_bn", r"features.\1.pointwise.1"),
        (r"conv_preds", "classifier"),
    ),
    "mobilenet_v2": (
        (r"Conv1", "features.0.features.0"),
        (r"bn_Conv1", "features.0.features.1"),
        (r"(?:expanded_conv|block_(\d+))_(expand|depthwise|project)", lambda m: inverted_residual(int(m[1] or 0), m[2], 0)),
        (r"(?:expanded_conv|block_(\d+))_(expand|depthwise|project)_BN", lambda m: inverted_residual(int(m[1] or 0), m[2], 1)),
        (r"mobl(\d+)_conv_\1_(expand|depthwise|project)", lambda m: inverted_residual(int(m[1]), m[2], 0)),  # of 2018
        (r"bn(\d+)_conv_\1_bn_(expand|depthwise|project)", lambda m: inverted_residual(int(m[1]), m[2], 1)),
        (r"Conv_1", "features.18.features.0"),
        (r"Conv_1_bn", "features.18.features.1"),
        (r"predictions|Logits", "head.1"),
    ),
    "resnet50": RESNET,
    "resnet101": RESNET,
    "resnet152": RESNET,
}


def read(source, net):
    """The weights of `net` in `source`, with the names of keras.applications."""
    family_of(net, FAMILIES, source)  # refused before the file is read
    return arranged(_read_h5(source), net, source)


def arranged(arrays, net, source):
    """The weights of `net` out of arrays by LAYER/.../VALUE; `source` is for error messages."""
    family = family_of(net, FAMILIES, source)
    values, names = place(source, arrays, lambda name: key_of(name, FAMILIES[family]), tensorflow_layout)
    if family == "mobilenet_v1":
        return Foreign(net, values, names, {"activation": "relu6", **TENSORFLOW}, TO_ONE)
    if family == "mobilenet_v2":
        return Foreign(net, values, names, TENSORFLOW, TO_ONE)
    _fold_biases(values, names)
    kernel = values.get("conv1.weight")
    if kernel is not None and kernel.ndim == 4:
        values["conv1.weight"] = np.ascontiguousarray(kernel[:, ::-1])  # mindclf's pixels have red first
    return Foreign(net, values, names, {"stride_on": "1x1", "bn_epsilon": 1.001e-5}, CAFFE)


def key_of(name, rows):
    """The mindclf key of a weight: Conv1/Conv1/kernel:0 -> features.0.features.0.weight."""
    layer, _, rest = name.partition("/")
    value = rest.rpartition("/")[2].removesuffix(":0")
    for pattern, replacement in rows:
        match = re.fullmatch(pattern, layer)
        if match:
            module = replacement(match) if callable(replacement) else match.expand(replacement)
            return f"{module}.{value.replace('depthwise_', '').replace('kernel', 'weight')}"
    return name  # reported as unexpected


def _fold_biases(values, names):
    """Takes the bias of a convolution into the mean of the batch norm after it: (x + bias) - mean = x - (mean - bias)."""
    for key in list(values):
        mean = re.sub(r"conv(\d)\.bias$", r"bn\1.moving_mean", key).replace("downsample.0.bias", "downsample.1.moving_mean")
        if mean != key and mean in values and values[mean].shape == values[key].shape:
            values[mean] = values[mean] - values.pop(key)
            del names[key]


def _read_h5(source):
    """The arrays in an .h5 file, by their paths: LAYER/.../kernel."""
    h5py = require("h5py", f"{source}: .h5 files are read with h5py", "pip install h5py")
    arrays = {}

    def add(path, item):
        if isinstance(item, h5py.Dataset):
            arrays[path] = item[()]

    try:
        with h5py.File(source, "r") as file:
            layers = file.get("model_weights", file)
            has_names = any(name.startswith("layer_names") for name in layers.attrs)
            if has_names:
                layers.visititems(add)
    except Exception as error:  # h5py raises OSError, RuntimeError, KeyError, ValueError, by kind of damage
        raise ValueError(f"{source} cannot be read as an .h5 file: {first_line(error)}") from None
    if not has_names:
        raise ValueError(f"{source} does not name its layers, as the .weights.h5 files of Keras 3 do not: save the whole model, "
                         f"with model.save('net.h5')")
    return {name: np.asarray(value) for name, value in arrays.items()}
