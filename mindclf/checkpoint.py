"""Checkpoints: the weights of a net on disk, NAME.ckpt or NAME.safetensors, with a card beside them (see mindclf.card)."""

from __future__ import annotations

import itertools
import math
import re
from pathlib import Path

import mindspore as ms
import numpy as np
from mindspore import Parameter, Tensor
from mindspore.nn import Cell
from mindspore.nn.utils import no_init_parameters
from mindspore.train.checkpoint_pb2 import Checkpoint

from mindclf.card import Card, card_path, has_card, make_card, read_card, replacing_with_card
from mindclf.checkpoint_file import CHECKPOINTS, GARBAGE_SORTER, CheckpointFile, named_checkpoint
from mindclf.device import exclusive
from mindclf.nets import HEAD_KEYS, build_net
from mindclf.nets.namesakes import check_origin
from mindclf.utils.files import first_line, one_line, with_modes

__all__ = ["CHECKPOINTS", "GARBAGE_SORTER", "CheckpointFile", "card_path", "check_weights", "fill_net", "has_card",
           "load_checkpoint", "load_net", "make_card", "named_checkpoint", "read_card", "read_weights", "save_checkpoint",
           "split_training_state"]

FORMATS = {".ckpt": "ckpt", ".safetensors": "safetensors"}
ITEM_BYTES = {"Bool": 1, "Int8": 1, "UInt8": 1, "Int16": 2, "UInt16": 2, "Float16": 2, "BFloat16": 2, "Int32": 4, "UInt32": 4,
              "Float32": 4, "Int64": 8, "UInt64": 8, "Float64": 8, "str": 4}  # of the types in a .ckpt, by MindSpore's names
# Names of what the optimizers and Model of MindSpore write next to the weights: momenta, rates, counters.
OPTIMIZER_STATE = re.compile(r"(moments?[12]?|adam_[mv]|accum|vhat|stat|velocity|grad_accumulation)\.|"
                             r"(learning_rate|global_step|momentum|weight_decay|loss_scale|scale_sense|beta[12]_power|"
                             r"epoch_num|step_num|current_iterator_step|last_overflow_iterator_step|"
                             r"updates|accumulation_step|mu_schedule)$")  # those of mindcv's training
OF_OPTIMIZER = "optimizer."  # before what it trains too, where mindcv accumulates gradients
OF_ZOOS = " (if it is mindcv's or MindSpore Hub's, mindclf convert makes a checkpoint of it)"  # said of files without a card


def save_checkpoint(net: Cell, path: str | Path, card: dict, half: bool = False) -> Path:
    """Writes the weights of `net` to `path` (.ckpt or .safetensors), and `card`, a dict, beside them. Returns the path.

    Each is complete or not there, and both are of one save (see `replacing_with_card`). half=True stores matrices and kernels as
    float16; vectors (batch norm, biases) stay float32, for a variance may not fit into float16.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    parameters = [{"name": p.name, "data": Tensor(_stored(p, half))} for p in net.get_parameters()]
    with replacing_with_card(path, card) as temporary, with_modes(temporary) as file:
        ms.save_checkpoint(parameters, str(file), format=_format(path))
    return path


def load_checkpoint(path: str | Path, net: Cell, checkpoint_origin: str = "") -> Cell:
    """Loads the file at `path` into `net`, every weight of it, and returns `net`.

    `checkpoint_origin`, "mindclf", says of a file without a card that its net was trained. Only nets ask for it of which others
    publish weights with the same keys: see `mindclf.nets.namesakes`.

    The file may hold more than the net in two ways: the state of an optimizer, and a head when the net is a backbone. Anything
    else that does not fit raises ValueError with every key of it: missing, unexpected, of another shape. float16 weights become
    float32. MindSpore's own loader would skip keys, or drop a prefix to make them fit, without a word.
    """
    values = read_weights(path)
    if not has_card(path):
        check_origin(path, net, checkpoint_origin)
    has_head = any(p.name.startswith(HEAD_KEYS) for p in net.get_parameters())
    weights, _ = split_training_state(values)
    weights = {name: value for name, value in weights.items() if has_head or not name.startswith(HEAD_KEYS)}
    return fill_net(net, weights, path, "" if has_card(path) else OF_ZOOS)


def split_training_state(values: dict[str, np.ndarray]) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    """(the weights of the net, the state of a training) in `values`, arrays by name as MindSpore's checkpoints have them.

    State is what OPTIMIZER_STATE knows, and each PREFIX.NAME where NAME is there too, with the same shape: moments under any
    prefix, such as adam_m or lion_m, and the averages under ema, one for each weight. Weights lose OF_OPTIMIZER.
    """
    values = {name if (bare := name.removeprefix(OF_OPTIMIZER)) in values else bare: value for name, value in values.items()}
    state = {name: value for name, value in values.items() if OPTIMIZER_STATE.match(name) or _doubles_a_weight(name, values)}
    return {name: value for name, value in values.items() if name not in state}, state


def _doubles_a_weight(name, values):
    doubled = values.get(name.partition(".")[2])
    return doubled is not None and doubled.shape == values[name].shape


def fill_net(net: Cell, values: dict[str, np.ndarray], source: str | Path, advice: str = "") -> Cell:
    """Sets every weight of `net` from `values`, arrays by name, and returns `net`.

    Raises ValueError that names `source` and every key that is missing, unexpected or of another shape, and gives `advice`; else
    as `check_weights`.
    """
    wanted = {p.name: p for p in net.get_parameters()}
    problems = [f"missing {name} {parameter.shape}" for name, parameter in wanted.items() if name not in values]
    problems += [f"unexpected {name} {value.shape}" for name, value in values.items() if name not in wanted]
    problems += [f"{name} has shape {values[name].shape}, the net wants {parameter.shape}"
                 for name, parameter in wanted.items() if name in values and values[name].shape != parameter.shape]
    if problems:
        raise ValueError(f"{source} does not fit the net: {'; '.join(problems)}{advice}")
    tensors = {name: Tensor(values[name], parameter.dtype) for name, parameter in wanted.items()}
    check_weights({name: tensor.asnumpy() for name, tensor in tensors.items()}, source)
    for name, parameter in wanted.items():
        parameter.set_data(tensors[name])
    return net


def check_weights(values: dict[str, np.ndarray], source: str | Path) -> None:
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
def load_net(checkpoint: str | Path | CheckpointFile) -> tuple[Cell, Card]:
    """(net, card) of a checkpoint: the net that it holds, in inference mode, and what is known of it.

    Raises ValueError for a file that is missing, damaged, without a card, or a backbone without a classifier.
    """
    file = CheckpointFile.of(checkpoint)
    card = file.read_card()
    if not card.classes:
        raise ValueError(f"{file.path} holds a backbone without a classifier: train one with pretrained={file.path}")
    with no_init_parameters():  # the file has all weights: none need be drawn
        net = build_net(card.net, len(card.classes), card.net_options)
    return load_checkpoint(file.path, net, file.origin).set_train(False), card


def read_weights(path: str | Path) -> dict[str, np.ndarray]:
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
    if not content.value:
        raise ValueError("it holds no weights")
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
