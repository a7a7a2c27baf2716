"""Weights on disk with their card: NAME.ckpt or NAME.safetensors, and its name with .json added beside it.

The card says what the weights are: net, classes, image size, pixel statistics, metrics, data, seed, versions, command. With
it, evaluation and prediction need only the path, and cannot preprocess otherwise than training did.
"""

import contextlib
import itertools
import json
import math
import re
from pathlib import Path

import mindspore as ms
import numpy as np
from mindspore import Parameter, Tensor
from mindspore.nn.utils import no_init_parameters
from mindspore.train.checkpoint_pb2 import Checkpoint

from mindclf.config import merge
from mindclf.device import exclusive
from mindclf.nets import HEAD_KEYS, create_net
from mindclf.nets.namesakes import check_origin
from mindclf.utils.files import first_line, one_line, replacing, sha256, with_modes, write_json, writing

CARD_FORMAT = 1
FORMATS = {".ckpt": "ckpt", ".safetensors": "safetensors"}
ITEM_BYTES = {"Bool": 1, "Int8": 1, "UInt8": 1, "Int16": 2, "UInt16": 2, "Float16": 2, "BFloat16": 2, "Int32": 4, "UInt32": 4,
              "Float32": 4, "Int64": 8, "UInt64": 8, "Float64": 8, "str": 4}  # of the types in a .ckpt, by MindSpore's names
# What each card must have, and its type: enough to build the net and to preprocess an image.
CARD_FIELDS = {"format": int, "net": str, "net_options": dict, "classes": list, "image_height": int, "image_width": int,
               "mean": list, "std": list, "weights_sha256": str}
# What a card may have besides that is used, and its type.
OPTIONAL_FIELDS = {"crop_share": (int, float), "raw_size": list, "class_folders": list, "config": dict, "metrics": dict,
                   "data": dict, "seconds": (int, float), "device": dict, "versions": dict, "exported": dict,
                   "speed": list, "seen_images": dict, "extended": list, "white": (int, float)}
SEEN_FIELDS = ("train", "validation", "test")  # of seen_images: 8 characters of base64 an image, see mindclf.dataset.seen
SPEED_FIELDS = ("phase", "images_per_second", "data_share")  # of each phase of the training
OPTIONAL_WITHIN = {("data", "path"): str, ("data", "train"): int, ("data", "held_out"): int, ("data", "test"): int,
                   ("config", "dataset"): str}
MAX_CARD_BYTES = 2**24
MAX_BATCH = 65_536  # images that an exported file takes at a time
# Names of what the optimizers and Model of MindSpore write next to the weights: momenta, rates, counters.
OPTIMIZER_STATE = re.compile(r"(moments?[12]?|adam_[mv]|accum|vhat|stat|velocity)\.|"
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

    Each is complete or not there, and both are of one save (see `replacing_with_card`). half=True stores matrices and kernels as
    float16; vectors (batch norm, biases) stay float32, for a variance may not fit into float16.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    parameters = [{"name": p.name, "data": Tensor(_stored(p, half))} for p in net.get_parameters()]
    with replacing_with_card(path, card) as temporary, with_modes(temporary) as file:
        ms.save_checkpoint(parameters, str(file), format=_format(path))
    return path


@contextlib.contextmanager
def replacing_with_card(path, card):
    """As `files.replacing`, for a file with a net and its `card`, a dict to which the block may add.

    The card is first written as `next_card_path`, then the file replaces the old one, then the card: whenever that is cut short,
    `read_card` finds the card that belongs to the file.
    """
    with replacing(path) as temporary:
        yield temporary
        write_json(next_card_path(path), {**card, "format": CARD_FORMAT, "weights_sha256": sha256(temporary)})
    with writing(card_path(path)):
        next_card_path(path).replace(card_path(path))


def load_checkpoint(path, net, checkpoint_origin=""):
    """Loads the file at `path` into `net`, every weight of it, and returns `net`.

    `checkpoint_origin`, "mindclf", says of a file without a card that its net was trained. Only nets ask for it of which others
    publish weights with the same keys: see `mindclf.nets.namesakes`.

    The file may hold more than the net in two ways: the state of an optimizer, and a head when the net is a backbone. Anything
    else that does not fit raises ValueError with every key of it: missing, left over, of another shape. float16 weights become
    float32. MindSpore's own loader would skip keys, or drop a prefix to make them fit, without a word.
    """
    values = read_weights(path)
    if not has_card(path):
        check_origin(path, net, checkpoint_origin)
    has_head = any(p.name.startswith(HEAD_KEYS) for p in net.get_parameters())
    spare = [name for name in values if OPTIMIZER_STATE.match(name) or (name.startswith(HEAD_KEYS) and not has_head)]
    return fill_net(net, {name: value for name, value in values.items() if name not in spare}, path)


def fill_net(net, values, source):
    """Sets every weight of `net` from `values`, arrays by name, and returns `net`.

    Raises ValueError that names `source` and every key that is missing, left over or of another shape; else as `check_weights`.
    """
    wanted = {p.name: p for p in net.get_parameters()}
    problems = [f"missing {name} {parameter.shape}" for name, parameter in wanted.items() if name not in values]
    problems += [f"left over {name} {value.shape}" for name, value in values.items() if name not in wanted]
    problems += [f"{name} has shape {values[name].shape}, the net wants {parameter.shape}"
                 for name, parameter in wanted.items() if name in values and values[name].shape != parameter.shape]
    if problems:
        raise ValueError(f"{source} does not fit the net: {'; '.join(problems)}")
    tensors = {name: Tensor(values[name], parameter.dtype) for name, parameter in wanted.items()}
    check_weights({name: tensor.asnumpy() for name, tensor in tensors.items()}, source)
    for name, parameter in wanted.items():
        parameter.set_data(tensors[name])
    return net


def check_weights(values, source):
    """Raises ValueError that names `source` and a weight, of arrays by name, if it is NaN or infinite, or a variance below 0."""
    impossible = list(filter(None, (_impossible(name, array) for name, array in values.items())))
    if impossible:
        more = f", and {len(impossible) - 1} more weights are such" if len(impossible) > 1 else ""
        raise ValueError(f"{source} holds weights that nothing can be computed with: {impossible[0]}{more}; make the file again, "
                         f"or take another")


def _impossible(name, values):
    """What is wrong with the values of the weight `name`, in words; "" if nothing."""
    count = values.size - np.isfinite(values).sum()
    if count:
        return f"{name} has {count} of {values.size} values that are NaN or infinite"
    if name.endswith("moving_variance") and values.min(initial=0) < 0:
        return f"{name} has the variance {values.min():.3g}, which is below 0"
    return ""


@exclusive()
def load_net(path, card=None):
    """The net that the checkpoint at `path` holds, in inference mode, and its card: (net, card).

    `card` stands in for the card of a file that has none, such as one that a tutorial wrote; it may have a "checkpoint_origin".
    """
    if card is None:
        card = read_card(path)
    if not card["classes"]:
        raise ValueError(f"{path} holds a backbone without a classifier: train one with pretrained={path}")
    with no_init_parameters():  # the file has all weights: none need be drawn
        net = create_net(card["net"], len(card["classes"]), **card["net_options"])
    return load_checkpoint(path, net, card.get("checkpoint_origin", "")).set_train(False), card


def read_card(path):
    """The card beside the file at `path`, a dict. Raises ValueError if it is missing, unreadable, or of other weights."""
    file = card_path(path)
    if not Path(path).is_file():
        raise ValueError(f"checkpoint {path} does not exist")
    following = next_card_path(path)
    if following.is_file() and _describes(following, path):
        file = following  # a save was cut short
    if not file.is_file():
        hint = "" if Path(path).suffix == ".mindir" else (". A file from a tutorial has none; use it through the recipe that "
               "describes it, as in python recipes/garbage_mobilenet_v2.py predict")
        raise ValueError(f"{path} has no card: {file.name} is missing beside it{hint}")
    card = _card_in(file)
    if card["weights_sha256"] != sha256(path):
        raise ValueError(f"{path} is damaged, or not the file that {file.name} describes: its SHA-256 differs from the card's")
    return card


def parse_card(text, source, required=CARD_FIELDS):
    """The card, a dict, that `text`, as bytes or not, holds, with all fields fit for use.

    Raises ValueError of one line that begins with `source` if it is none, or lacks one of `required`, {field: type}.
    """
    if len(text) > MAX_CARD_BYTES:
        raise ValueError(f"{source} is not a card: it is larger than {MAX_CARD_BYTES / 2**20:.0f} MiB")
    try:
        card = json.loads(text)
    except (ValueError, RecursionError) as error:  # the latter for brackets in a thousand brackets
        raise ValueError(f"{source} is not a card: {error}") from None
    if not isinstance(card, dict):
        raise ValueError(f"{source} is not a card: expected a JSON object, received {type(card).__name__}")
    _check_card(card, source, required)
    return card


def _card_in(file):
    with open(file, "rb") as opened:
        return parse_card(opened.read(MAX_CARD_BYTES + 1), file)


def _describes(file, path):
    """Whether `file` is a card, that of the weights at `path`."""
    try:
        return _card_in(file)["weights_sha256"] == sha256(path)
    except ValueError:  # nothing that we wrote
        return False


def _check_card(card, source, required):
    """Raises ValueError that names the field of `card`, read from `source`, which is not what a card has there."""
    for field, kind in {**required, **OPTIONAL_FIELDS}.items():
        right = isinstance(card[field], kind) and not isinstance(card[field], bool) if field in card else field in OPTIONAL_FIELDS
        if not right:
            name = getattr(kind, "__name__", "number")
            raise ValueError(f"{source}: field {field!r} must be of type {name}, received {_short(card.get(field))}")
    for (group, field), kind in OPTIONAL_WITHIN.items():
        if field in card.get(group, ()) and not isinstance(card[group][field], kind):
            raise ValueError(f"{source}: field '{group}.{field}' must be of type {kind.__name__}, received "
                             f"{_short(card[group][field])}")
    batch_size = card.get("exported", {}).get("batch_size")
    if batch_size is not None and not (type(batch_size) is int and 1 <= batch_size <= MAX_BATCH):
        raise ValueError(f"{source}: field 'exported.batch_size' must lie between 1 and {MAX_BATCH}, received "
                         f"{_short(batch_size)}")
    if not 1 <= card["format"] <= CARD_FORMAT:
        raise ValueError(f"{source} has format {_short(card['format'])}, this mindclf reads up to {CARD_FORMAT}: update mindclf")
    for field in ("classes", "class_folders"):
        for name in card.get(field, ()):
            if not isinstance(name, str) or one_line(name) != name:
                raise ValueError(f"{source}: field {field!r} must hold names of one line, received {_short(name)}")
    if len(card.get("class_folders", card["classes"])) != len(card["classes"]):
        raise ValueError(f"{source}: 'class_folders' must be as many as the {len(card['classes'])} classes")
    for phase in card.get("speed", ()):
        if not (isinstance(phase, dict) and all(type(phase.get(name)) in (int, float) for name in SPEED_FIELDS)):
            raise ValueError(f"{source}: field 'speed' must hold numbers {', '.join(SPEED_FIELDS)}, received {_short(phase)}")
    seen = card.get("seen_images", dict.fromkeys(SEEN_FIELDS, ""))
    for name in SEEN_FIELDS:
        if not (isinstance(seen.get(name), str) and re.fullmatch(r"(?:[A-Za-z0-9+/]{8})*", seen[name])):
            raise ValueError(f"{source}: field 'seen_images.{name}' must hold 8 characters of base64 an image, received "
                             f"{_short(seen.get(name))}")
    unknown = seen.get("parents_unknown", [])
    if not (isinstance(unknown, list) and all(isinstance(name, str) and one_line(name) == name for name in unknown)):
        raise ValueError(f"{source}: field 'seen_images.parents_unknown' must hold names of one line, received {_short(unknown)}")
    size = card.get("raw_size", ())
    if size and not (len(size) == 2 and all(type(side) is int and 1 <= side <= 4096 for side in size)):
        raise ValueError(f"{source}: field 'raw_size' must be a height and a width, 1 to 4096 pixels, received {_short(size)}")
    used = ("net_options", "image_height", "image_width", "mean", "std", "crop_share", "white")
    try:
        merge({}, {field: card[field] for field in used if field in card})
    except ValueError as error:
        raise ValueError(f"{source}: {_short(error, str)}") from None


def _short(value, shown=repr):
    """`value` for a message: a card may have anything anywhere."""
    text = one_line(shown(value))
    return text if len(text) <= 200 else f"{text[:200]}..."


def read_weights(path):
    """The arrays in a .ckpt or .safetensors file, by name, as NumPy arrays."""
    path = Path(path)
    if not path.is_file():
        raise ValueError(f"checkpoint {path} does not exist")
    file_format = _format(path)
    try:
        if file_format == "ckpt":
            _check_sizes(path)
        parameters = ms.load_checkpoint(str(path), format=file_format)
    except Exception as error:  # MindSpore raises ValueError, RuntimeError, TypeError and protobuf's own, by kind of damage
        raise ValueError(f"{path} cannot be read as a checkpoint: {first_line(error)}") from None
    return {name: value.asnumpy() for name, value in parameters.items() if isinstance(value, Parameter)}


def _check_sizes(path):
    """Raises ValueError if a tensor in the .ckpt at `path` has other bytes than its shape takes.

    MindSpore 2.10.0 does not look: it reads on in memory that is not the tensor's, or crashes.
    """
    content = Checkpoint()
    data = path.read_bytes()
    content.ParseFromString(data[:-17] if data[-17:-10] == b"crc_num" else data)  # a checksum that MindSpore may append
    for tag, entries in itertools.groupby(content.value, key=lambda entry: entry.tag):  # a large tensor has several in a row
        entries = list(entries)
        kind, dims = entries[-1].tensor.tensor_type, list(entries[-1].tensor.dims)
        if not all(entry.HasField("tensor") for entry in entries) or kind not in ITEM_BYTES:
            raise ValueError(f"{one_line(tag)[:100]} is no tensor of a type that is read")
        size = sum(len(entry.tensor.tensor_content) for entry in entries)
        count = 1 if dims == [0] else math.prod(dims)  # [0] is how it writes one number without axes
        wrong = size < 4 if kind == "str" else min(dims, default=1) < 0 or count * ITEM_BYTES[kind] != size
        if wrong:
            raise ValueError(f"{one_line(tag)[:100]} has {size:,} bytes, which are not the {kind} of its shape")


def _stored(parameter, half):
    values = parameter.asnumpy()
    if not half or values.ndim < 2:
        return values
    if not np.abs(values).max(initial=0) <= np.finfo(np.float16).max:
        raise ValueError(f"{parameter.name} cannot be stored as float16: it reaches {np.abs(values).max():.3g}, and the largest "
                         f"such number is 65,504; store it as it is, without half")
    return values.astype("float16")


def _format(path):
    if path.suffix not in FORMATS:
        raise ValueError(f"{path}: a checkpoint's name ends in {' or '.join(FORMATS)}")
    return FORMATS[path.suffix]
