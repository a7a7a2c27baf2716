"""Weights on disk with their card: NAME.ckpt or NAME.safetensors, and its name with .json added beside it.

The card says what the weights are: net, classes, picture size, pixel statistics, metrics, data, seed, versions, command. With
it, evaluation and prediction need only the path, and cannot preprocess otherwise than training did.
"""

import json
import re
from pathlib import Path

import mindspore as ms
from mindspore import Parameter, Tensor
from mindspore.nn.utils import no_init_parameters

from mindclf.files import first_line, replacing, sha256, write_json
from mindclf.nets import HEAD_KEYS, create_net

CARD_FORMAT = 1
FORMATS = {".ckpt": "ckpt", ".safetensors": "safetensors"}
# What each card must have, and its type: enough to build the net and to preprocess a picture.
CARD_FIELDS = {"format": int, "net": str, "net_options": dict, "classes": list, "image_height": int, "image_width": int,
               "mean": list, "std": list, "weights_sha256": str}
# Names of what the optimizers and Model of MindSpore write next to the weights: momenta, rates, counters.
OPTIMIZER_STATE = re.compile(r"(moments?[12]?|accum|vhat|stat|velocity)\.|"
                             r"(learning_rate|global_step|momentum|weight_decay|loss_scale|scale_sense|beta[12]_power|"
                             r"epoch_num|step_num|current_iterator_step|last_overflow_iterator_step)$")


def card_path(path):
    """The path of the card that belongs to the file at `path`: its name with .json added."""
    return Path(f"{path}.json")


def save_checkpoint(net, path, card, half=False):
    """Writes the weights of `net` to `path` (.ckpt or .safetensors) and `card`, a dict, beside them. Returns the path.

    Each file is complete or not there: it is written under another name, flushed to disk and renamed. half=True stores
    matrices and kernels as float16; vectors (batch norm, biases) stay float32, for a variance may not fit into float16.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    parameters = [{"name": p.name, "data": Tensor(_stored(p, half))} for p in net.get_parameters()]
    with replacing(path) as temporary:
        ms.save_checkpoint(parameters, str(temporary), format=_format(path))
        digest = sha256(temporary)
    write_json(card_path(path), {**card, "format": CARD_FORMAT, "weights_sha256": digest})
    return path


def load_checkpoint(path, net):
    """Loads the file at `path` into `net`, every weight of it, and returns `net`.

    The file may hold more than the net in two ways: the state of an optimizer, and a head when the net is a backbone. Anything
    else that does not fit raises ValueError with every key of it: missing, left over, of another shape. float16 weights become
    float32. MindSpore's own loader would skip keys, or drop a prefix to make them fit, without a word.
    """
    values = read_weights(path)
    has_head = any(p.name.startswith(HEAD_KEYS) for p in net.get_parameters())
    spare = [name for name in values if OPTIMIZER_STATE.match(name) or (name.startswith(HEAD_KEYS) and not has_head)]
    return fill_net(net, {name: value for name, value in values.items() if name not in spare}, path)


def fill_net(net, values, source):
    """Sets every weight of `net` from `values`, arrays by name, and returns `net`.

    Raises ValueError that names `source` and every key that is missing, left over or of another shape.
    """
    wanted = {p.name: p for p in net.get_parameters()}
    problems = [f"missing {name} {parameter.shape}" for name, parameter in wanted.items() if name not in values]
    problems += [f"left over {name} {value.shape}" for name, value in values.items() if name not in wanted]
    problems += [f"{name} has shape {values[name].shape}, the net wants {parameter.shape}"
                 for name, parameter in wanted.items() if name in values and values[name].shape != parameter.shape]
    if problems:
        raise ValueError(f"{source} does not fit the net: {'; '.join(problems)}")
    for name, parameter in wanted.items():
        parameter.set_data(Tensor(values[name], parameter.dtype))
    return net


def load_net(path, card=None):
    """The net that the checkpoint at `path` holds, in inference mode, and its card: (net, card).

    `card` stands in for the card of a file that has none, such as one that a tutorial wrote.
    """
    if card is None:
        card = read_card(path)
    if not card["classes"]:
        raise ValueError(f"{path} holds a backbone without a classifier: train one with pretrained={path}")
    with no_init_parameters():  # the file has all weights: none need be drawn
        net = create_net(card["net"], len(card["classes"]), **card["net_options"])
    return load_checkpoint(path, net).set_train(False), card


def read_card(path):
    """The card beside the file at `path`, a dict. Raises ValueError if it is missing, unreadable, or of other weights."""
    file = card_path(path)
    if not Path(path).is_file():
        raise ValueError(f"checkpoint {path} does not exist")
    if not file.is_file():
        hint = "" if Path(path).suffix == ".mindir" else (". A file from a tutorial has none; use it through the recipe that "
               "describes it, as in python recipes/garbage_mobilenet_v2.py predict")
        raise ValueError(f"{path} has no card: {file.name} is missing beside it{hint}")
    try:
        card = json.loads(file.read_text(encoding="utf-8"))
    except (UnicodeDecodeError, json.JSONDecodeError) as error:
        raise ValueError(f"{file} is not a card: {error}") from None
    check_card(card, file)
    if card["weights_sha256"] != sha256(path):
        raise ValueError(f"{path} is damaged, or not the file that {file.name} describes: its SHA-256 differs from the card's")
    return card


def check_card(card, source, fields=CARD_FIELDS):
    """`card`, a dict with all `fields`, each of its type, in a known format. Else raises ValueError that names `source`."""
    if not isinstance(card, dict):
        raise ValueError(f"{source} is not a card: expected a JSON object, received {type(card).__name__}")
    for field, kind in fields.items():
        if not isinstance(card.get(field), kind):
            raise ValueError(f"{source}: field {field!r} must be of type {kind.__name__}, received {card.get(field)!r}")
    if card["format"] > CARD_FORMAT:
        raise ValueError(f"{source} has format {card['format']}, this mindclf reads up to {CARD_FORMAT}: update mindclf")
    return card


def read_weights(path):
    """The arrays in a .ckpt or .safetensors file, by name, as NumPy arrays."""
    path = Path(path)
    if not path.is_file():
        raise ValueError(f"checkpoint {path} does not exist")
    file_format = _format(path)
    try:
        parameters = ms.load_checkpoint(str(path), format=file_format)
    except Exception as error:  # MindSpore raises ValueError, RuntimeError, TypeError and protobuf's own, by kind of damage
        raise ValueError(f"{path} cannot be read as a checkpoint: {first_line(error)}") from None
    return {name: value.asnumpy() for name, value in parameters.items() if isinstance(value, Parameter)}


def _stored(parameter, half):
    values = parameter.asnumpy()
    return values.astype("float16") if half and values.ndim > 1 else values


def _format(path):
    if path.suffix not in FORMATS:
        raise ValueError(f"{path}: a checkpoint's name ends in {' or '.join(FORMATS)}")
    return FORMATS[path.suffix]
