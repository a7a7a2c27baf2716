"""TF-slim's MobileNetV2 1.0 in an .npz archive.

Variables are named as TF-slim names them, `/` written as `_`; kernels are HWIO, depthwise ones HWC1. The classifier has 1001
outputs, of which 0 is background.
"""

import re
import zipfile

import numpy as np

from mindclf.convert.foreign import TO_ONE, Foreign, inverted_residual, place, tensorflow_layout

# TensorFlow trains with its own padding and batch-norm epsilon.
OPTIONS = {"pad_mode": "same", "bn_epsilon": 1e-3}
ENDS = {"Conv": "features.0.features", "Conv_1": "features.18.features"}
LAYER = re.compile(r"(?P<scope>Conv(_1)?|expanded_conv(_(?P<block>\d+))?_(?P<part>expand|depthwise|project))"
                   r"_((depthwise_)?weights|BatchNorm_(?P<norm>\w+))$")


def read(source, net=""):
    """The weights in `source`. Raises ValueError if it is no .npz archive, or not one of MobileNetV2."""
    if net not in ("", "mobilenet_v2"):
        raise ValueError(f"{source}: net={net!r} cannot be read from such a file; an .npz archive holds TF-slim's mobilenet_v2")
    try:
        with np.load(source, allow_pickle=False) as archive:
            variables = {name: archive[name] for name in archive.files}
    except (OSError, EOFError, ValueError, TypeError, AttributeError, zipfile.BadZipFile) as error:
        raise ValueError(f"{source} cannot be read as an .npz archive: {error}") from None
    values, names = place(source, variables, key_of, tensorflow_layout)
    if "head.1.weight" not in values:
        raise ValueError(f"{source} does not hold TF-slim MobileNetV2 weights: no variable Logits_Conv2d_1c_1x1_weights")
    return Foreign("mobilenet_v2", values, names, OPTIONS, TO_ONE, has_background=True)


def key_of(name):
    """The mindclf key of a TF-slim variable: expanded_conv_3_expand_weights -> features.4.conv.0.features.0.weight."""
    if name.startswith("Logits_"):
        return "head.1.bias" if "biases" in name else "head.1.weight"  # the latter may be called weights_from_int8
    match = LAYER.match(name)
    if not match:
        return name  # reported as unexpected
    layer = 1 if match["norm"] else 0
    if match["part"]:
        module = inverted_residual(int(match["block"] or 0), match["part"], layer)
    else:
        module = f"{ENDS[match['scope']]}.{layer}"
    return f"{module}.{match['norm'] or 'weight'}"
