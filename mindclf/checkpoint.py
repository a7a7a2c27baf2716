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


def next_card_path(path):
    """The path of the card that is about to take the place of `card_path(path)`, together with new weights."""
    return Path(f"{path}.next.json")


def has_card(path):
    """Whether the checkpoint at `path` has a card of its own, perhaps of a save that was cut short."""
    return card_path(path).is_file() or next_card_path(path).is_file()


def settle(path):
    """Brings a save of the checkpoint at `path` that was cut short to its end, or takes it back."""
    following = next_card_path(path)
    if following.is_file():
        if Path(path).is_file() and _describes(following, path):
            following.replace(card_path(path))
        else:
            following.unlink()


def save_checkpoint(net, path, card, half=False):
    """Writes the weights of `net` to `path` (.ckpt or .safetensors) and `card`, a dict, beside them. Returns the path.

    Each file is complete or not there: it is written under another name, flushed to disk and renamed. The card is first written
    as `next_card_path`, then the weights replace the old ones, then the card: whenever that is cut short, `read_card` finds the
    card that belongs to the weights. half=True stores matrices and kernels as float16; vectors (batch norm, biases) stay
    float32, for a variance may not fit into float16.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    parameters = [{"name": p.name, "data": Tensor(_stored(p, half))} for p in net.get_parameters()]
    with replacing(path) as temporary:
        ms.save_checkpoint(parameters, str(temporary), format=_format(path))
        write_json(next_card_path(path), {**card, "format": CARD_FORMAT, "weights_sha256": sha256(temporary)})
    next_card_path(path).replace(card_path(path))
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
    """The card of the checkpoint at `path`, a dict. Raises ValueError if it is missing, unreadable, or of other weights."""
    file = card_path(path)
    if not Path(path).is_file():
        raise ValueError(f"checkpoint {path} does not exist")
    following = next_card_path(path)
    if following.is_file() and _describes(following, path):
        file = following  # a save was cut short
    if not file.is_file():
        raise ValueError(f"{path} has no card: {file.name} is missing beside it. A file from a tutorial has none; use it "
                         f"through the recipe that describes it, as in python recipes/garbage_mobilenet_v2.py predict")
    try:
        card = json.loads(file.read_text(encoding="utf-8"))
    except (UnicodeDecodeError, json.JSONDecodeError) as error:
        raise ValueError(f"{file} is not a card: {error}") from None
    if not isinstance(card, dict):
        raise ValueError(f"{file} is not a card: expected a JSON object, received {type(card).__name__}")
    for field, kind in CARD_FIELDS.items():
        if not isinstance(card.get(field), kind):
            raise ValueError(f"{file}: field {field!r} must be of type {kind.__name__}, received {card.get(field)!r}")
    if card["format"] > CARD_FORMAT:
        raise ValueError(f"{file} has format {card['format']}, this mindclf reads up to {CARD_FORMAT}: update mindclf")
    if card["weights_sha256"] != sha256(path):
        raise ValueError(f"{path} is damaged, or not the file that {file.name} describes: its SHA-256 differs from the card's")
    return card


def _describes(file, path):
    """Whether `file` is a card, that of the weights at `path`."""
    try:
        return json.loads(file.read_text(encoding="utf-8"))["weights_sha256"] == sha256(path)
    except (ValueError, KeyError, TypeError):  # nothing that we wrote
        return False


def read_weights(path):
    """The arrays in a .ckpt or .safetensors file, by name, as NumPy arrays."""
    path = Path(path)
    if not path.is_file():
        raise ValueError(f"checkpoint {path} does not exist")
    try:
        parameters = ms.load_checkpoint(str(path), format=_format(path))
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
