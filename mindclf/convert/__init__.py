"""Weights of other frameworks as mindclf checkpoints: a file for each framework, and in foreign.py what they share."""

import re
from pathlib import Path

from mindclf.checkpoint import card_path
from mindclf.config import merge
from mindclf.convert import keras, pytorch, tf_slim
from mindclf.convert.foreign import write

__all__ = ["convert", "convert_tf_mobilenet_v2"]

READERS = {
    ".npz": tf_slim.read,
    ".pth": pytorch.read, ".pt": pytorch.read, ".bin": pytorch.read, ".tar": pytorch.read, ".safetensors": pytorch.read,
    ".h5": keras.read, ".hdf5": keras.read,
}
FIELDS = ("image_height", "image_width", "mean", "std", "net_options", "class_index")


def convert(source, destination=None, net="", **fields):
    """Writes the weights in the file `source` as a checkpoint with its card, and returns its path.

    source: TF-slim's MobileNetV2 (.npz), PyTorch's nets as torchvision and timm name them (.pth, .safetensors), or Keras's
    (.h5). destination: by default beside it, with the suffix .ckpt. net: one of NETS; not needed for .npz. fields: FIELDS of a
    config, for what the file does not say and its usual preprocessing is not: the size of an image, mean and std of the pixels,
    options of the net, names of the classes. Without a classifier the checkpoint holds a backbone, for `pretrained`.

    No code in the file is run. Raises ValueError for what cannot be read and for weights that are missing, unexpected or of
    another shape.
    """
    source = Path(source)
    for name in fields:
        if name not in FIELDS:
            raise ValueError(f"field {name!r} says nothing about weights; those that do: {', '.join(FIELDS)}")
    config = merge({}, fields)
    if source.suffix.lower() not in READERS:
        raise ValueError(f"{source}: weights are read from files whose names end in {', '.join(READERS)}")
    if destination is None:
        destination = source.with_name(re.sub(r"(\.pth)?\.\w+$", ".ckpt", source.name))
        if destination.exists() or card_path(destination).exists():
            raise ValueError(f"{destination} is there already: name the checkpoint that is to be written")
    destination = Path(destination)
    if destination.is_dir():
        raise ValueError(f"{destination} is a folder: name the checkpoint that is to be written")
    if destination.exists() and source.exists() and destination.samefile(source):
        raise ValueError(f"{source} cannot be written over: name another checkpoint")
    return write(READERS[source.suffix.lower()](source, net), source, destination, {name: config[name] for name in fields})


def convert_tf_mobilenet_v2(source, destination):
    """Writes the TF-slim MobileNetV2 weights in `source` (.npz) as a checkpoint with its card. Returns its path."""
    return convert(source, destination, "mobilenet_v2")
