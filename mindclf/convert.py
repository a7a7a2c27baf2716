"""Weights of other frameworks as mindclf checkpoints."""

import re
import zipfile

import numpy as np

from mindclf.checkpoint import fill_net, save_checkpoint
from mindclf.nets import create_net

# TensorFlow trains these nets with its own padding and batch-norm epsilon, on pixels scaled to -1 .. 1.
TF_OPTIONS = {"pad_mode": "same", "bn_epsilon": 1e-3}
TF_MEAN, TF_STD = [127.5] * 3, [127.5] * 3
LAYER = re.compile(r"(?P<scope>Conv(_1)?|expanded_conv(_(?P<block>\d+))?_(?P<part>expand|depthwise|project))"
                   r"_(?P<value>(depthwise_)?weights|biases|BatchNorm_(?P<norm>\w+))$")


def convert_tf_mobilenet_v2(source, destination):
    """Writes the TF-slim MobileNetV2 1.0 weights in `source` (.npz) as a checkpoint with its card. Returns its path.

    Variables are named as TF-slim names them, `/` written as `_`; kernels are HWIO, depthwise ones HWC1. The classifier has
    1001 outputs, of which 0 is background. Raises ValueError with every variable that is missing, of another shape, or left
    over.
    """
    try:
        with np.load(source, allow_pickle=False) as archive:
            variables = {name: np.asarray(archive[name], np.float32) for name in archive.files}
    except (OSError, EOFError, ValueError, TypeError, AttributeError, zipfile.BadZipFile) as error:
        raise ValueError(f"{source} cannot be read as an .npz archive: {error}") from None
    values = {_tf_key(name): _tf_layout(name, value) for name, value in variables.items()}
    if "head.1.weight" not in values:
        raise ValueError(f"{source} does not hold TF-slim MobileNetV2 weights: no variable Logits_Conv2d_1c_1x1_weights")
    num_classes = len(values["head.1.weight"])
    net = create_net("mobilenet_v2", num_classes, **TF_OPTIONS)
    fill_net(net, values, source)
    card = {
        "net": "mobilenet_v2", "net_options": TF_OPTIONS,
        "classes": ["background"] + [f"ImageNet class {index}" for index in range(1, num_classes)],
        "image_height": 224, "image_width": 224, "mean": TF_MEAN, "std": TF_STD,
        "data": {"name": "ImageNet, converted from TF-slim weights"},
    }
    return save_checkpoint(net, destination, card)


def _tf_key(name):
    """The mindclf key of a TF-slim variable: expanded_conv_3_expand_weights -> features.4.conv.0.features.0.weight."""
    if name.startswith("Logits_"):
        return "head.1.bias" if "biases" in name else "head.1.weight"
    match = LAYER.match(name)
    if not match:
        return name  # reported as left over
    value = match["norm"] or "weight"
    layer = 1 if match["norm"] else 0
    if not match["part"]:
        return f"features.{18 if match['scope'] == 'Conv_1' else 0}.features.{layer}.{value}"
    block = int(match["block"] or 0)
    first = 0 if block == 0 else 1  # block 0 has no expansion
    if match["part"] == "project":
        return f"features.{block + 1}.conv.{first + 1 + layer}.{value}"
    return f"features.{block + 1}.conv.{first if match['part'] == 'depthwise' else 0}.features.{layer}.{value}"


def _tf_layout(name, value):
    if name.startswith("Logits_"):
        return value.reshape(value.shape[-2:]).T if value.ndim == 4 else value    # (1, 1, I, O) -> (O, I)
    if "depthwise_weights" in name:
        return value.transpose(2, 3, 0, 1)                                        # (H, W, C, 1) -> (C, 1, H, W)
    return value.transpose(3, 2, 0, 1) if value.ndim == 4 else value              # (H, W, I, O) -> (O, I, H, W)
