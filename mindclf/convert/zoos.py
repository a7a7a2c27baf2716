"""MindSpore's checkpoints with the names of mindcv, of MindSpore Hub or of mindclf: .ckpt, or .safetensors.

What an origin calls the weights of a net, and what it computes otherwise, is a `Naming`. They were written after mindcv 0.3.0 and
after the models of mindspore-ai/models, which MindSpore Hub 1.10 publishes; tests/reference/make_zoos.py compares.
"""

import logging
import re
from dataclasses import dataclass, field

import numpy as np
from mindspore.nn.utils import no_init_parameters

from mindclf.checkpoint import read_weights, split_training_state
from mindclf.convert.foreign import Foreign, place, say_passed_over
from mindclf.nets import HEAD_KEYS, NETS, build_net, default_options
from mindclf.nets.shufflenet_v1 import MODEL_SIZES, STAGE_CHANNELS, scaled

log = logging.getLogger(__name__)

MINDCV, HUB, MINDCLF = "mindcv", "hub", "mindclf"
ORIGINS = (MINDCV, HUB, MINDCLF)
LABELS = 1000       # of ImageNet: 0 to 999
MINDCV_EPSILON = 1e-5
EPSILON_SHIFT = 1e-4 - 1e-5  # from the epsilon of MindSpore Hub's residual blocks to mindclf's


@dataclass(frozen=True)
class Naming:
    """How an origin names the weights of a family of nets, and how its nets differ from mindclf's."""

    rows: tuple = ()        # pattern, replacement: all that match turn a key of mindclf into the origin's name, one after another
    mark: str = ""          # a name in each of its files matches this, and none of others; "" where names do not tell the origin
    options: dict = field(default_factory=dict)  # with which mindclf's net computes the same
    absent: str = ""        # keys that match this are zero where the file does not have them
    left_out: str = ""      # names that match this have no place in mindclf's net
    shifted: str = ""       # batch norms that match this have their epsilon in MindSpore Hub's way: EPSILON_SHIFT
    image_size: int = 224


def _mobilenet_v1_block(match):
    block, part, layer = int(match[1]), match[2], int(match[3])
    return f"features.{block + 2}.{layer + (3 if part == 'pointwise' else 0)}."


def _hub_mobilenet_v1_block(match):
    return f"network.{2 * int(match[1]) - (match[2] == 'depthwise')}."


def _mobilenet_v2_layer(match):
    """features.N.conv.I.features.J., or features.N.conv.I. for the last two -> features.N+2.layers.K., ReLUs being counted."""
    block, layer, inner = int(match[1]), int(match[2]), match[3]
    with_relu = 1 if block == 1 else 2  # convolutions that a ReLU follows; block 1 has no expansion
    index = 3 * layer + int(inner) if inner else 3 * with_relu + layer - with_relu
    return f"features.{block + 2}.layers.{index}."


BRANCHES = {  # of Inception's blocks: mindclf's name -> mindcv's
    "5": {"branch1x1": "branch0", "branch5x5_1": "branch1.0", "branch5x5_2": "branch1.1", "branch3x3dbl_1": "branch2.0",
          "branch3x3dbl_2": "branch2.1", "branch3x3dbl_3": "branch2.2", "branch_pool": "branch_pool.1"},
    "6a": {"branch3x3": "branch0", "branch3x3dbl_1": "branch1.0", "branch3x3dbl_2": "branch1.1", "branch3x3dbl_3": "branch1.2"},
    "6": {"branch1x1": "branch0", **{f"branch7x7_{i + 1}": f"branch1.{i}" for i in range(3)},
          **{f"branch7x7dbl_{i + 1}": f"branch2.{i}" for i in range(5)}, "branch_pool": "branch_pool.1"},
    "7a": {"branch3x3_1": "branch0.0", "branch3x3_2": "branch0.1", **{f"branch7x7x3_{i + 1}": f"branch1.{i}" for i in range(4)}},
    "7": {"branch1x1": "branch0", "branch3x3_1": "branch1", "branch3x3_2a": "branch1a", "branch3x3_2b": "branch1b",
          "branch3x3dbl_1": "branch2.0", "branch3x3dbl_2": "branch2.1", "branch3x3dbl_3a": "branch2a",
          "branch3x3dbl_3b": "branch2b", "branch_pool": "branch_pool.1"},
}


def _inception_branch(match):
    block, branch = match[1], match[2]
    return f"Mixed_{block}.{BRANCHES.get(block, BRANCHES[block[0]])[branch]}."


INCEPTION_ROWS = ((r"^Mixed_(\w\w)\.(\w+)\.", _inception_branch), (r"^(Conv2d_\w\w)_\dx\d\.", r"\1."))
DENSENET_ROWS = ((r"\.denselayer(\d+)\.", lambda match: f".cell_list.{int(match[1]) - 1}."),
                 (r"^(features\.transition\d)\.", r"\1.features."))
ZERO_BIASES = r"^features\.\d+\.bias$"
SQUEEZENET = {"squeezenet1_0": {"ceil_mode": False}, "squeezenet1_1": {"ceil_mode": False, "stem_padding": 1}}
HUB_BOTTLENECKS = Naming(((r"\.downsample\.", ".down_sample_layer."), (r"^classifier\.", "end_point.")),
                         r"^end_point\.|\.down_sample_layer\.", {"pad_mode": "same", "pool_pad_mode": "same", "bn_epsilon": 1e-4})
HUB_BASIC_BLOCKS = Naming(((r"^(layer\d\.\d+\.bn\d)\.", r"\1d."), *HUB_BOTTLENECKS.rows), HUB_BOTTLENECKS.mark,
                          shifted=r"^layer\d\.\d+\.bn\d\.")

# Each family is the net of that name, or those whose names begin so; the first that fits is taken.
NAMINGS = {
    MINDCV: {
        "mobilenet_v1": Naming(((r"^features\.0\.([01])\.", r"features.\1."),
                                (r"^features\.(\d+)\.(depthwise|pointwise)\.([01])\.", _mobilenet_v1_block)),
                               r"^features\.1\.gamma$"),
        "mobilenet_v2": Naming(((r"^features\.0\.features\.([01])\.", r"features.\1."),
                                (r"^features\.18\.features\.([01])\.", lambda match: f"features.{20 + int(match[1])}."),
                                (r"^features\.(\d+)\.conv\.(\d)\.(?:features\.([01])\.)?", _mobilenet_v2_layer),
                                (r"^head\.1\.", "classifier.1.")), r"^features\.\d+\.layers\."),
        "shufflenet_v1": Naming(absent=r"^classifier\.bias$"),
        "resnet": Naming(((r"\.downsample\.", ".down_sample."),), r"\.down_sample\.", {"pool_pad_mode": "same"}),
        "vgg": Naming(absent=ZERO_BIASES),
        "squeezenet1_0": Naming(options=SQUEEZENET["squeezenet1_0"]),
        "squeezenet1_1": Naming(options=SQUEEZENET["squeezenet1_1"]),
        "densenet": Naming(DENSENET_ROWS, r"^features\..*\.cell_list\."),
        "inception_v3": Naming((*INCEPTION_ROWS, (r"^Mixed_", "inception"), (r"^Conv2d_", "conv"), (r"^auxiliary\.", "aux.")),
                               r"^conv1a\.", {"count_include_pad": False}, image_size=299),
    },
    HUB: {
        "mobilenet_v1": Naming(((r"^features\.0\.", "network.0."),
                                (r"^features\.(\d+)\.(depthwise|pointwise)\.", _hub_mobilenet_v1_block),
                                (r"^classifier\.", "fc.")), r"^network\.", {"activation": "relu6", "pad_mode": "same"}),
        "mobilenet_v2": Naming(((r"^head\.1\.", "dense."),), r"^dense\."),
        "shufflenet_v1": Naming(),
        "resnet18": HUB_BASIC_BLOCKS,
        "resnet34": HUB_BASIC_BLOCKS,
        "resnet": HUB_BOTTLENECKS,
        "vgg": Naming(((r"^features\.", "layers."),), r"^layers\.", absent=ZERO_BIASES),
        "squeezenet1_0": Naming(((r"^classifier\.1\.", "final_conv."),), r"^final_conv\.", SQUEEZENET["squeezenet1_0"]),
        "squeezenet1_1": Naming(((r"^classifier\.1\.", "final_conv."),), r"^final_conv\.", SQUEEZENET["squeezenet1_1"]),
        "densenet": Naming((*DENSENET_ROWS, (r"^features\.", "backbone.features."), (r"^classifier\.", "head.fc.")),
                           r"^backbone\.|^head\.fc\.", {"transition_pool": "max", "pool_pad_mode": "same"}),
        "inception_v3": Naming((*INCEPTION_ROWS, (r"\.branch([12])([ab])\.", r".branch\1_\2."), (r"^classifier\.", "logits.fc.")),
                               r"^Conv2d_1a\.", {"count_include_pad": False}, left_out=r"^aux_logits\.", image_size=299),
    },
}
# Nets of others whose names are mindclf's, and which compute something else: their origin has to be said.
NAMESAKES = ("squeezenet1_0", "squeezenet1_1")
# Options of mindclf's nets that mindcv's have too, or that change nothing in inference, and the values that mindcv knows.
IN_MINDCV = {"width_mult": None, "round_nearest": None, "model_size": ("0.5x", "1.0x", "1.5x", "2.0x"), "group": (3, 8),
             "aux_logits": None, "dropout": None, "has_dropout": None, "bn_epsilon": None}
MINDCV_WIDTHS = (0.25, 0.5, 0.75, 1.0)  # of MobileNetV1, where rounded channels are whole ones


def naming_of(origin, net):
    """The `Naming` of a net by its name; None if the origin does not have it."""
    if origin == MINDCLF:
        return Naming()
    return next((naming for family, naming in NAMINGS[origin].items() if net.startswith(family)), None)


def read(source, net, origin="", ema=False):
    """The weights of `net` in the checkpoint `source`; `ema` chooses the moving averages of the weights that it may hold."""
    if net not in NETS:
        problem = f"net={net!r} is not known" if net else "the file does not say which net it holds"
        raise ValueError(f"{source}: {problem}; give --net, one of {', '.join(NETS)}")
    weights, state = split_training_state(read_weights(source))
    averages = {name.removeprefix("ema."): value for name, value in state.items() if name.startswith("ema.")}
    if ema and not averages:
        raise ValueError(f"{source} holds no EMA weights, with names that begin with ema.: leave out --ema")
    say_passed_over(source, [name for name in state if not (ema and name.startswith("ema."))], averages and not ema)
    return arranged({**weights, **averages} if ema else weights, net, source, origin)


def arranged(arrays, net, source, origin=""):
    """The weights of `net` out of arrays by name, which may hold nothing else; `source` is for error messages.

    Raises ValueError where the names do not tell the `origin`, or tell another one than is given.
    """
    origin, naming = _told(arrays, net, source, origin)
    options = dict(naming.options)
    if net == "inception_v3" and any(name.startswith(("aux.", "auxiliary.")) for name in arrays):
        options["aux_logits"] = True
    if net == "shufflenet_v1":
        arrays, sizes = _grouped(arrays)
        options.update(sizes)
    left_out = [name for name in arrays if naming.left_out and re.search(naming.left_out, name)]
    say_passed_over(source, left_out)
    keys = {their_name(key, naming): key for key in _keys(net, options)}
    values, names = place(source, {name: value for name, value in arrays.items() if name not in left_out},
                          lambda name: keys.get(name, name))
    _fill_absent(values, names, keys.values(), naming)
    for key in values:
        if naming.shifted and re.search(naming.shifted, key) and key.endswith(".moving_variance"):
            values[key] = values[key] + np.float32(EPSILON_SHIFT)
    if origin != MINDCLF:
        _cut_the_unused_class(values, source)
    return Foreign(net, values, names, options, image_size=naming.image_size, origin=origin)


def their_name(key, naming):
    """What the origin calls the weight `key` of mindclf."""
    for pattern, replacement in naming.rows:
        key = re.sub(pattern, replacement, key)
    return key


def _told(arrays, net, source, origin):
    """(origin, `Naming`): the one that is given, or the one that the names tell."""
    namings = {name: naming for name in (MINDCV, HUB) if (naming := naming_of(name, net))}
    marked = [name for name, naming in namings.items() if naming.mark and any(re.search(naming.mark, key) for key in arrays)]
    if origin and naming_of(origin, net) is None:
        raise ValueError(f"{source}: {origin} has no {net}")
    if origin and marked and origin not in marked:
        raise ValueError(f"{source}: its names are those of {marked[0]}, not of {origin}; give --origin {marked[0]}")
    if not (origin or marked) and net in NAMESAKES:
        raise ValueError(f"{source}: mindcv's {net} and mindclf's have the same names and compute different logits; say which "
                         f"it is, with --origin mindcv or --origin mindclf")
    lacking = [name for name, naming in namings.items()
               if naming.absent and not naming.mark and not any(re.search(naming.absent, key) for key in arrays)]
    origin = origin or next(iter([*marked, *lacking]), MINDCLF)
    return origin, naming_of(origin, net)


def _keys(net, options):
    """The keys of the net of that name."""
    with no_init_parameters():
        return [parameter.name for parameter in build_net(net, 2, options).get_parameters()]


def _grouped(arrays):
    """(arrays with a kernel for each group, net options) of a ShuffleNetV1, whose grouped kernels may be in one piece."""
    joined = "features.1.branch_main_1.0.weight"
    if joined in arrays:
        outputs, inputs = arrays[joined].shape[:2] if arrays[joined].ndim == 4 else (0, 0)
        group = 4 * outputs // max(inputs, 1)  # a fourth of the block's channels, of all of them divided by the groups
    else:
        group = sum(bool(re.match(r"features\.1\.branch_main_1\.0\.convs\.\d+\.weight$", name)) for name in arrays)
    if group not in STAGE_CHANNELS:
        return arrays, {}
    split = {}
    for name, value in arrays.items():
        match = re.match(r"(features\.(\d+)\.branch_main_(1\.0|2\.2))\.weight$", name)
        if match and value.ndim == 4:
            count = 1 if match[2] == "0" and match[3] == "1.0" else group
            parts = np.array_split(value, count)
            split.update({f"{match[1]}.convs.{number}.weight": part for number, part in enumerate(parts)})
        else:
            split[name] = value
    last = arrays.get("features.15.branch_main_2.3.gamma", np.zeros(0)).shape  # of the last block's output
    sizes = [size for size in MODEL_SIZES if (4 * scaled(STAGE_CHANNELS[group], float(size[:-1]), 4 * group),) == last]
    return split, {"group": group, "model_size": sizes[0]} if sizes else {}


def _fill_absent(values, names, keys, naming):
    """Zeros for the biases that the origin's layers do not have."""
    for key in keys:
        kernel = values.get(key.removesuffix("bias") + "weight")
        if naming.absent and re.search(naming.absent, key) and key not in values and kernel is not None:
            values[key] = np.zeros(kernel.shape[:1], np.float32)
            names[key] = key


def _cut_the_unused_class(values, source):
    """Takes the last of 1001 outputs away: mindcv and MindSpore Hub number ImageNet's classes 0 to 999."""
    heads = [key for key, value in values.items() if key.startswith(HEAD_KEYS) and value.shape[:1] == (LABELS + 1,)]
    for key in heads:
        values[key] = values[key][:LABELS]
    if heads:
        log.warning("%s has %d outputs, of which the last belongs to no class and is left out", source, LABELS + 1)


def mindcv_weights(net, net_options, values):
    """{mindcv's name: array} of the weights `values`, by key, of the net of that name with these options.

    An epsilon of batch norm that is not mindcv's goes into the moving variance, which is exact in inference. Raises ValueError
    where mindcv has no such net, or computes something else with these weights.
    """
    naming = naming_of(MINDCV, net)
    if naming is None:
        raise ValueError(f"mindcv has no {net}; it has {', '.join(name for name in NETS if naming_of(MINDCV, name))}")
    options = {**default_options(net), **net_options}
    _check_mindcv_computes(net, options, naming)
    shift = options.get("bn_epsilon", MINDCV_EPSILON) - MINDCV_EPSILON
    written = {}
    for key, value in values.items():
        if naming.absent and re.search(naming.absent, key):
            if value.any():
                raise ValueError(f"{net} cannot be written for mindcv: {key} is not zero, and mindcv's layer has no bias")
            continue
        written[their_name(key, naming)] = value + np.float32(shift) if shift and key.endswith(".moving_variance") else value
    return _joined(written) if net == "shufflenet_v1" else written


def _check_mindcv_computes(net, options, naming):
    wanted = {**default_options(net), **naming.options}
    for name, value in options.items():
        allowed = IN_MINDCV.get(name) if name in IN_MINDCV else (wanted[name],)
        if (net, name) == ("mobilenet_v1", "width_mult"):
            allowed = MINDCV_WIDTHS
        if allowed and value not in allowed:
            raise ValueError(f"{net} with net_options.{name}={value} cannot be written for mindcv, whose net computes as with "
                             f"net_options.{name}={' or '.join(map(str, allowed))}: train with that")


def _joined(values):
    """ShuffleNetV1's kernels with the groups in one piece, as mindcv 0.3.0 has them."""
    parts = {}
    for name, value in values.items():
        parts.setdefault(re.sub(r"\.convs\.\d+\.weight$", ".weight", name), []).append(value)
    return {name: np.concatenate(part) if len(part) > 1 else part[0] for name, part in parts.items()}
