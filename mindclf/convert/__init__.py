"""Weights of other frameworks as mindclf checkpoints: a file for each framework, and in foreign.py what they share."""

import re
from pathlib import Path

from mindclf.checkpoint import card_path, has_card
from mindclf.config import merge
from mindclf.convert import keras, pytorch, tf_slim, zoos
from mindclf.convert.foreign import write
from mindclf.published import published_as
from mindclf.utils.files import open_file

__all__ = ["convert", "convert_tf_mobilenet_v2"]

READERS = {
    ".npz": tf_slim.read,
    ".pth": pytorch.read, ".pt": pytorch.read, ".bin": pytorch.read, ".tar": pytorch.read, ".safetensors": pytorch.read,
    ".h5": keras.read, ".hdf5": keras.read, ".ckpt": zoos.read,
}
OF_PYTORCH = (b"PK\3\4", b"\x80\2")  # what its files begin with, also those that Lightning names .ckpt
FIELDS = ("image_height", "image_width", "mean", "std", "net_options", "class_index")


def convert(source, destination=None, net="", origin="", ema=False, **fields):
    """Writes the weights in the file `source` as a checkpoint with its card, and returns its path.

    source: MindSpore's checkpoints (.ckpt) with the names of mindcv, MindSpore Hub or mindclf, TF-slim's MobileNetV2 (.npz),
    PyTorch's nets as torchvision and timm name them (.pth, .safetensors), or Keras's (.h5). destination: by default beside it,
    with the suffix .ckpt, or as NAME_mindclf.ckpt. net: one of NETS; not needed for .npz, and for files that `mindclf weights`
    lists. origin: one of zoos.ORIGINS, for MindSpore's files whose names do not tell it. ema: whether to take the moving averages
    of the weights that a training may have saved. fields: FIELDS of a config, for what the file does not say and its usual
    preprocessing is not: the size of an image, mean and std of the pixels, options of the net, names of the classes. Without a
    classifier the checkpoint holds a backbone, for `pretrained`.

    No code in the file is run. Raises ValueError for what cannot be read and for weights that are missing, unexpected or of
    another shape.
    """
    source = Path(source)
    for name in fields:
        if name not in FIELDS:
            raise ValueError(f"field {name!r} says nothing about weights; those that do: {', '.join(FIELDS)}")
    config = merge({}, fields)
    suffix = source.suffix.lower()
    if suffix not in READERS:
        raise ValueError(f"{source}: weights are read from files whose names end in {', '.join(READERS)}")
    if origin not in ("", *zoos.ORIGINS):
        raise ValueError(f"origin={origin!r} is not known; expected one of {', '.join(zoos.ORIGINS)}")
    if destination is None:
        destination = source.with_name(re.sub(r"(\.pth)?\.\w+$", "_mindclf.ckpt" if suffix == ".ckpt" else ".ckpt", source.name))
        if destination.exists() or card_path(destination).exists():
            raise ValueError(f"{destination} is there already: name the checkpoint that is to be written")
    destination = Path(destination)
    if destination.is_dir():
        raise ValueError(f"{destination} is a folder: name the checkpoint that is to be written")
    if destination.exists() and source.exists() and destination.samefile(source):
        raise ValueError(f"{source} cannot be written over: name another checkpoint")
    if has_card(source):
        raise ValueError(f"{source} has a card, which says what it is: it is a checkpoint of mindclf already; use it so")
    foreign = _read(source, suffix, net, origin, ema)
    return write(foreign, source, destination, {name: config[name] for name in fields})


def _read(source, suffix, net, origin, ema):
    """What the file `source` holds, as `Foreign`; of a published file, what it is known to be."""
    known = published_as(source)
    if known:
        if net not in ("", known.net) or origin not in ("", known.origin):
            raise ValueError(f"{source} is {known.origin}'s {known.net}, by its SHA-256: give --net {known.net}, or leave it out")
        net, origin = known.net, known.origin if known.origin in zoos.ORIGINS else ""
    reader = READERS[suffix]
    if suffix == ".ckpt" and _begins_as_pytorch(source):
        reader = pytorch.read
    elif suffix == ".safetensors" and origin:
        reader = zoos.read
    if reader is zoos.read:
        return reader(source, net, origin, ema)
    if origin:
        raise ValueError(f"{source}: origin={origin} is for MindSpore's checkpoints; leave out --origin")
    if reader is pytorch.read:
        return reader(source, net, ema)
    if ema:
        raise ValueError(f"{source}: such a file holds one set of weights: leave out --ema")
    return reader(source, net)


def _begins_as_pytorch(source):
    if not source.is_file():
        return False
    with open_file(source) as file:
        return file.read(4).startswith(OF_PYTORCH)


def convert_tf_mobilenet_v2(source, destination):
    """Writes the TF-slim MobileNetV2 weights in `source` (.npz) as a checkpoint with its card. Returns its path."""
    return convert(source, destination, "mobilenet_v2")
