"""PyTorch's state dicts, .pth or .safetensors, with torchvision's or timm's names."""

import pickle
import re

from mindclf.convert.foreign import TO_ONE, Foreign, family_of, place, say_passed_over
from mindclf.nets.mobilenet_v2 import STAGES
from mindclf.utils.extras import require
from mindclf.utils.files import first_line

NORM = {"weight": "gamma", "bias": "beta", "running_mean": "moving_mean", "running_var": "moving_variance"}
COUNTERS = ("num_batches_tracked", "n_averaged")  # of each batch norm, and of torch.optim.swa_utils.AveragedModel; no weights
# Under these names training code saves a state dict among other things, and such of moving averages (EMA).
WRAPPERS = ("state_dict", "model_state_dict", "model", "net")
AVERAGES = ("state_dict_ema", "model_ema", "ema_state_dict", "ema")
# What all names begin with once a net is wrapped: by DataParallel and AveragedModel, torch.compile, a LightningModule.
PREFIXES = ("module.", "_orig_mod.", "model.", "net.", "backbone.")
OF_LOSS = re.compile(r"(criterion|loss|loss_fn|loss_function)\.")  # weights of classes in a loss that a module holds


def numbered(repeats):
    """blocks.STAGE.INDEX of timm -> features.N, where the stages have so many blocks."""
    return lambda match: f"features.{1 + sum(repeats[:int(match[1])]) + int(match[2])}."


# What becomes of a name, for each family: rows of pattern and replacement, of which all that match apply in turn.
FAMILIES = {
    "mobilenet_v1": (  # timm
        (r"^conv_stem\.", "features.0.0."),
        (r"^bn1\.", "features.0.1."),
        (r"^blocks\.(\d+)\.(\d+)\.", numbered((1, 2, 2, 6, 2))),
        (r"\.conv_dw\.", ".depthwise.0."),
        (r"\.bn1\.", ".depthwise.1."),
        (r"\.conv_pw\.", ".pointwise.0."),
        (r"\.bn2\.", ".pointwise.1."),
    ),
    "mobilenet_v2": (
        (r"^(features\.\d+(\.conv\.\d+)?)\.([01])\.(?=\w+$)", r"\1.features.\3."),  # torchvision; what follows is timm
        (r"^conv_stem\.", "features.0.features.0."),
        (r"^bn1\.", "features.0.features.1."),
        (r"^blocks\.0\.0\.conv_dw\.", "features.1.conv.0.features.0."),
        (r"^blocks\.0\.0\.bn1\.", "features.1.conv.0.features.1."),
        (r"^blocks\.0\.0\.conv_pw\.", "features.1.conv.1."),
        (r"^blocks\.0\.0\.bn2\.", "features.1.conv.2."),
        (r"^blocks\.(\d+)\.(\d+)\.", numbered([repeats for _, _, repeats, _ in STAGES])),
        (r"\.conv_pw\.", ".conv.0.features.0."),
        (r"\.bn1\.", ".conv.0.features.1."),
        (r"\.conv_dw\.", ".conv.1.features.0."),
        (r"\.bn2\.", ".conv.1.features.1."),
        (r"\.conv_pwl\.", ".conv.2."),
        (r"\.bn3\.", ".conv.3."),
        (r"^conv_head\.", "features.18.features.0."),
        (r"^bn2\.", "features.18.features.1."),
        (r"^classifier\.(1\.)?", "head.1."),
    ),
    "resnet": (
        (r"^fc\.", "classifier."),
    ),
    "vgg": (  # torchvision's names are mindclf's; these are timm's
        (r"^pre_logits\.fc1\.", "classifier.0."),
        (r"^pre_logits\.fc2\.", "classifier.3."),
        (r"^head\.fc\.", "classifier.6."),
    ),
    "alexnet": (),
    "squeezenet": (),
    "densenet": (
        (r"\.(norm|conv)\.([12])\.", r".\1\2."),  # in torchvision's files of 2017
    ),
    "inception_v3": (
        (r"^fc\.", "classifier."),
        (r"^AuxLogits\.", "auxiliary."),
    ),
}


def read(source, net, ema=False):
    """The weights of `net` in `source`, a state dict with torchvision's or timm's names; `ema` chooses its moving averages."""
    family_of(net, FAMILIES, source)  # refused before the file is read
    if source.suffix.lower() != ".safetensors":
        return arranged(_read_pickle(source, ema), net, source)
    if ema:
        raise ValueError(f"{source}: a .safetensors file holds one set of weights: leave out --ema")
    return arranged(_read_safetensors(source), net, source)


def arranged(arrays, net, source):
    """The weights of `net` out of the arrays of a state dict; `source` is for error messages."""
    family = family_of(net, FAMILIES, source)
    arrays = unwrapped({name: value for name, value in arrays.items() if name.rpartition(".")[2] not in COUNTERS}, source)
    norms = {name.removesuffix(".running_mean") for name in arrays if name.endswith(".running_mean")}
    values, names = place(source, arrays, lambda name: key_of(name, FAMILIES[family], norms), _layout)
    if family == "mobilenet_v1":
        return Foreign(net, values, names, {"activation": "relu6"}, TO_ONE)
    if family == "inception_v3":
        options = {"aux_logits": True} if any(key.startswith("auxiliary.") for key in values) else {}
        return Foreign(net, values, names, options, TO_ONE, image_size=299)
    return Foreign(net, values, names)


def unwrapped(arrays, source):
    """`arrays` without those of a loss, and by names without PREFIXES that all of them have."""
    of_loss = [name for name in arrays if OF_LOSS.match(name)]
    say_passed_over(source, of_loss)
    arrays = {name: value for name, value in arrays.items() if name not in of_loss}
    while prefix := next((prefix for prefix in PREFIXES if arrays and all(name.startswith(prefix) for name in arrays)), ""):
        arrays = {name.removeprefix(prefix): value for name, value in arrays.items()}
    return arrays


def key_of(name, rows, norms):
    """The mindclf key of a weight; `norms` are the names of the batch norms, told by their running means."""
    module, _, value = name.rpartition(".")
    if module in norms:
        name = f"{module}.{NORM.get(value, value)}"
    for pattern, replacement in rows:
        name = re.sub(pattern, replacement, name)
    return name


def _layout(name, key, value):
    """timm's VGG has its hidden layers as convolutions: (O, C, H, W) -> (O, C * H * W)."""
    is_dense = name.startswith("pre_logits.") and value.ndim == 4
    return value.reshape(value.shape[0], value[:1].size) if is_dense else value


def _read_safetensors(source):
    from safetensors.numpy import load_file  # comes with MindSpore

    try:
        return load_file(source)
    except Exception as error:  # safetensors raises its own, OSError, and what NumPy does
        raise ValueError(f"{source} cannot be read as a .safetensors file: {first_line(error)}") from None


def _read_pickle(source, ema=False):
    """The arrays in a .pth file, by name. PyTorch's unpickler makes tensors and containers, and runs nothing else."""
    torch = require("torch", f"{source}: .pth files are read with PyTorch",
                    "pip install torch, or save the weights as .safetensors")
    try:
        content = torch.load(source, map_location="cpu", weights_only=True)
    except Exception as error:  # many kinds, by kind of damage
        called = re.search(r"GLOBAL ([\w.]+)", str(error))
        if called:
            raise ValueError(f"{source} holds more than weights: reading it would run {called[1]}, so it is not read; save "
                             f"net.state_dict(), not the net or a training's state") from None
        # PyTorch's own words would be the advice to let the file run code.
        reason = "no state dict" if isinstance(error, pickle.UnpicklingError) else first_line(error)
        raise ValueError(f"{source} cannot be read as a PyTorch file: {reason}") from None
    content = _state_dict_in(content, source, ema)
    if not isinstance(content, dict) or not content:
        raise ValueError(f"{source} holds a {type(content).__name__}, not the state dict of a net")
    for name, value in content.items():
        if not isinstance(value, torch.Tensor):
            raise ValueError(f"{source}: {name} is a {type(value).__name__}, not a tensor: a state dict is wanted, alone or as "
                             f"{' or '.join(map(repr, WRAPPERS))}")
    content = {name: value for name, value in content.items() if name.rpartition(".")[2] not in COUNTERS}
    try:
        content = {name: value.float() if value.is_floating_point() else value for name, value in content.items()}  # bfloat16 too
        return {name: value.numpy(force=True) for name, value in content.items()}
    except Exception as error:  # sparse and quantised tensors
        raise ValueError(f"{source} holds tensors that are no plain arrays: {first_line(error)}") from None


def _state_dict_in(content, source, ema):
    """The state dict in what a file holds, itself or under one of WRAPPERS; with `ema` the one under AVERAGES."""
    held = [name for name in (AVERAGES if ema else WRAPPERS) if isinstance(content, dict) and isinstance(content.get(name), dict)]
    averages = isinstance(content, dict) and any(isinstance(content.get(name), dict) for name in AVERAGES)
    if ema and not held:
        raise ValueError(f"{source} holds no EMA weights, as {' or '.join(map(repr, AVERAGES))}: leave out --ema")
    if not held:
        return content
    say_passed_over(source, [name for name in content if name != held[0] and name not in AVERAGES], averages and not ema)
    return _state_dict_in(content[held[0]], source, ema=False)
