"""Export: a checkpoint as a file for other runtimes, checked before it is called done."""

from __future__ import annotations

import contextlib
import shutil
import tempfile
from pathlib import Path

import mindspore as ms
import numpy as np
from mindspore import Tensor, nn, ops

from mindclf import kernels
from mindclf.card import CARD_FORMAT, MAX_BATCH, Card, has_card, replacing_with_card
from mindclf.checkpoint import CheckpointFile, load_net, read_weights, save_checkpoint
from mindclf.convert.zoos import mindcv_weights
from mindclf.dataset import eval_pipeline, pixel_pipeline
from mindclf.dataset.samples import sample_images
from mindclf.device import exclusive
from mindclf.inference.onnx import open_session, put_normalisation_in_front, require, write_card
from mindclf.nets import fold_batch_norm
from mindclf.utils.claim import claimed
from mindclf.utils.files import replacing, with_modes

TOLERANCE = 1e-4
SUFFIXES = {"mindir": ".mindir", "onnx": ".onnx", "safetensors": ".safetensors", "mindcv": ".ckpt"}
OF_WEIGHTS = ("safetensors", "mindcv")
CHECKED = (1, 4)  # batch sizes that a file for any number of images is run with


@exclusive()
def export(checkpoint: str | Path | CheckpointFile, file_format: str, destination: str | Path | None = None,
           with_preprocessing: bool = False, batch_size: int | None = None) -> Path:
    """Writes the net of `checkpoint` as "mindir", "onnx", "safetensors" or "mindcv", and its card beside it; returns the path.

    `checkpoint` is a path, a name in checkpoints/, or a `CheckpointFile`. A .mindir or .onnx takes normalised float32 images
    (N, 3, height, width) and gives logits (N, classes). With `with_preprocessing` it takes pixels, uint8 RGB
    (N, height, width, 3), and normalises them itself; resizing and cropping stay outside, for they begin with images of any size.
    N is any number, or `batch_size` if that is given. Batch norm is folded. A .safetensors has the weights as they
    are. "mindcv" is a .ckpt with the names of mindcv, for its own nets, and without a card, which would take it for mindclf's.

    Its card says in "exported" what the file takes, how images are to be preprocessed and how it was checked; an .onnx has the
    card in its metadata too. Before it gets its name, the file is run on images (see `sample_images`) and compared with the
    net: ValueError if a logit differs by more than TOLERANCE, or than that fraction of the largest logit where it is more than 1.
    ONNX needs the extra `onnx`.
    """
    checkpoint = CheckpointFile.of(checkpoint)
    destination = _destination(checkpoint.path, file_format, destination)
    if file_format in OF_WEIGHTS and (with_preprocessing or batch_size):
        raise ValueError(f"a {file_format} file holds weights alone: leave out the preprocessing and the batch size")
    if batch_size is not None and not 1 <= batch_size <= MAX_BATCH:
        raise ValueError(f"batch_size={batch_size} must lie between 1 and {MAX_BATCH}")
    with kernels.off():  # other runtimes know only MindSpore's operators
        net, card = load_net(checkpoint)
        if file_format == "safetensors":
            with claimed(destination, is_file=True):
                return save_checkpoint(net, destination, card)
        if file_format == "mindcv":
            return _write_mindcv(net, card, destination)
        folded = fold_batch_norm(net)
    images, pixels, origin = _samples(card)
    expected = net(Tensor(images)).asnumpy()
    inputs = pixels if with_preprocessing else images
    inside = card.preprocessing if with_preprocessing else None
    card = Card({**card, "format": CARD_FORMAT, "exported": {
        "format": file_format, "with_preprocessing": with_preprocessing, "batch_size": batch_size,
        "input": {"type": str(inputs.dtype), "shape": [batch_size or "N", *inputs.shape[1:]],
                  "values": "pixels, 0 to 255" if with_preprocessing else "(pixel - mean) / std"},
        "preprocessing": card.preprocessing.describe()}})
    write, run = {"mindir": (_write_mindir, _run_mindir), "onnx": (_write_onnx, _run_onnx)}[file_format]
    destination.parent.mkdir(parents=True, exist_ok=True)
    with claimed(destination, is_file=True), replacing_with_card(destination, card) as file:
        write(folded, file, (batch_size, *images.shape[1:]), inside)
        differences = []
        for count in [batch_size] if batch_size else CHECKED:
            chosen = np.arange(count) % len(images)
            differences.append(np.abs(run(file, inputs[chosen]) - expected[chosen]).max())
        difference = float(np.max(differences))
        if not difference <= TOLERANCE * max(1, np.abs(expected).max()):
            raise ValueError(f"{destination} was not written: its logits differ by {difference:.2g} from the checkpoint's")
        card["exported"]["checked"] = {"pictures": origin, "batch_sizes": [batch_size] if batch_size else list(CHECKED),
                                       "largest_difference": float(f"{difference:.2g}")}
        if file_format == "onnx":
            write_card(file, card)
    return destination


class _Normalising(nn.Cell):
    """`net` behind the normalisation of evaluation: pixels, uint8 (N, height, width, 3) -> what the net gives."""

    def __init__(self, net, preprocessing):
        super().__init__(auto_prefix=False)
        self.net = net
        self.mean, self.std = (Tensor(values, ms.float32) for values in (preprocessing.mean, preprocessing.std))

    def construct(self, pixels):
        images = (ops.cast(pixels, ms.float32) - self.mean) / self.std
        return self.net(images.transpose(0, 3, 1, 2))                    # (N, 3, height, width)


def _destination(checkpoint, file_format, destination):
    if file_format == "air":
        raise ValueError("format 'air' can be written on an Ascend only; a mindir runs on CPU, GPU and Ascend")
    if file_format not in SUFFIXES:
        raise ValueError(f"format {file_format!r} is not known; expected one of {', '.join(SUFFIXES)} (AIR needs an Ascend)")
    suffix = SUFFIXES[file_format]
    default = checkpoint.with_name(checkpoint.stem + ("_mindcv.ckpt" if file_format == "mindcv" else suffix))
    destination = Path(destination) if destination else default
    if destination.suffix != suffix:
        raise ValueError(f"{destination}: a file of format {file_format} has a name that ends in {suffix}")
    if destination.exists() and checkpoint.exists() and destination.samefile(checkpoint):
        raise ValueError(f"{checkpoint} cannot be written over: name another file")
    return destination


def _write_mindcv(net, card, destination):
    """Writes the weights of `net` under mindcv's names, and reads them back. Returns the path."""
    weights = mindcv_weights(card.net, card.net_options, {p.name: p.asnumpy() for p in net.get_parameters()})
    if has_card(destination):
        raise ValueError(f"{destination} has a card of mindclf's beside it: name another file")
    destination.parent.mkdir(parents=True, exist_ok=True)
    with claimed(destination, is_file=True), replacing(destination) as temporary, with_modes(temporary) as file:
        ms.save_checkpoint([{"name": name, "data": Tensor(value)} for name, value in weights.items()], str(file))
        written = read_weights(file)
        if written.keys() != weights.keys() or any((written[name] != value).any() for name, value in weights.items()):
            raise ValueError(f"{destination} was not written: what MindSpore reads of it is not what was saved")
    return destination


def _samples(card):
    """(images, pixels, origin): images as the net takes them, float32 and normalised, and as uint8; what they are, in words."""
    image_set, origin = sample_images(card, max(CHECKED))
    batches = (pipeline(image_set, card.preprocessing, len(image_set)) for pipeline in (eval_pipeline, pixel_pipeline))
    images, pixels = (next(batch.create_tuple_iterator(num_epochs=1, output_numpy=True))[0] for batch in batches)
    return images, pixels, origin


def _write_mindir(net, file, shape, preprocessing=None):
    """Writes `net` for images of `shape`, whose first number is None for any; `preprocessing` has it take pixels."""
    dtype = ms.float32
    if preprocessing:
        net, shape, dtype = _Normalising(net, preprocessing), (shape[0], *shape[2:], shape[1]), ms.uint8
    with _plainly_named(file) as plain:
        ms.export(net, _example(shape, dtype), file_name=str(plain), file_format="MINDIR")


def _run_mindir(file, images):
    return nn.GraphCell(ms.load(str(file)))(Tensor(images)).asnumpy()


def _write_onnx(net, file, shape, preprocessing=None):
    """As `_write_mindir`."""
    require("onnx")  # before a minute goes into the export
    require("onnxruntime")
    axes = {"images": {0: "batch"}, "logits": {0: "batch"}} if shape[0] is None else {}
    with _plainly_named(file) as plain:
        ms.onnx.export(net, _example(shape, ms.float32), file_name=str(plain), input_names=["images"], output_names=["logits"],
                       dynamic_axes=axes)
    if preprocessing:
        put_normalisation_in_front(file, preprocessing)


def _run_onnx(file, images):
    session = open_session(file)
    return session.run(None, {session.get_inputs()[0].name: images})[0]


@contextlib.contextmanager
def _plainly_named(file):
    """Gives a temporary path whose content `file` gets: MindSpore exports to no name with a space or a Chinese character."""
    with tempfile.TemporaryDirectory() as folder:
        plain = Path(folder) / f"net{file.suffix}"
        yield plain
        shutil.copyfile(plain, file)


def _example(shape, dtype):
    """A tensor of that shape; one without values where its first number is None, which stands for any."""
    return Tensor(shape=list(shape), dtype=dtype) if shape[0] is None else ops.zeros(tuple(shape), dtype)
