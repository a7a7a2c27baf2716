"""A checkpoint as a file for other runtimes, checked before it is called done."""

from pathlib import Path

import mindspore as ms
import numpy as np
from mindspore import Tensor, nn

from mindclf import kernels
from mindclf.checkpoint import CARD_FORMAT, card_path, load_net, save_checkpoint
from mindclf.files import replacing, sha256, write_json

TOLERANCE = 1e-4
SUFFIXES = {"mindir": ".mindir", "onnx": ".onnx", "safetensors": ".safetensors"}


def export(checkpoint, file_format, destination=None, card=None):
    """Writes the net of `checkpoint` as "mindir", "onnx" or "safetensors" and its card beside it; returns the path.

    The file takes normalised float32 images (N, 3, height, width) with any N and gives logits (N, classes). It is run once on
    noise, with 1 and with 3 images, and compared with the net before it gets its name: ValueError if a logit differs by more
    than TOLERANCE, or than that part of the largest logit where it is more than 1. The check of ONNX needs the extra `onnx`.
    `card` stands in for the card of a checkpoint that has none.
    """
    if file_format not in SUFFIXES:
        raise ValueError(f"format {file_format!r} is not known; expected one of {', '.join(SUFFIXES)} (AIR needs an Ascend)")
    suffix = SUFFIXES[file_format]
    destination = Path(destination) if destination else Path(checkpoint).with_suffix(suffix)
    if destination.suffix != suffix:
        raise ValueError(f"{destination}: the name of a {file_format} file ends in {suffix}")
    with kernels.off():  # other runtimes know only MindSpore's operators
        net, card = load_net(checkpoint, card)
    if file_format == "safetensors":
        return save_checkpoint(net, destination, card)
    destination.parent.mkdir(parents=True, exist_ok=True)
    noise = np.random.default_rng(0).standard_normal((3, 3, card["image_height"], card["image_width"]), np.float32)
    expected = net(Tensor(noise)).asnumpy()
    write, run = {"mindir": (_write_mindir, _run_mindir), "onnx": (_write_onnx, _run_onnx)}[file_format]
    with replacing(destination) as file:
        write(net, file, noise.shape)
        for count in (1, 3):
            difference = np.abs(run(file, noise[:count]) - expected[:count]).max()
            if not difference <= TOLERANCE * max(1, np.abs(expected).max()):
                raise ValueError(f"{destination} was not written: its logits differ by {difference:.2g} from the checkpoint's")
    write_json(card_path(destination), {**card, "format": CARD_FORMAT, "weights_sha256": sha256(destination)})
    return destination


def _write_mindir(net, file, shape):
    ms.export(net, Tensor(shape=[None, *shape[1:]], dtype=ms.float32), file_name=str(file), file_format="MINDIR")


def _run_mindir(file, images):
    return nn.GraphCell(ms.load(str(file)))(Tensor(images)).asnumpy()


def _write_onnx(net, file, shape):
    _onnxruntime()
    ms.onnx.export(net, Tensor(shape=[None, *shape[1:]], dtype=ms.float32), file_name=str(file), input_names=["images"],
                   output_names=["logits"], dynamic_axes={"images": {0: "batch"}, "logits": {0: "batch"}})


def _run_onnx(file, images):
    session = _onnxruntime().InferenceSession(str(file), providers=["CPUExecutionProvider"])
    return session.run(None, {"images": images})[0]


def _onnxruntime():
    try:
        import onnxruntime
    except ImportError:
        raise ValueError("the exported file is checked with ONNX Runtime: pip install 'mindclf[onnx]'") from None
    return onnxruntime
