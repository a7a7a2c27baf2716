"""Quantisation: an exported .onnx with 8-bit weights and activations, smaller and faster, and what that costs in accuracy."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from mindclf.card import Card, replacing_with_card
from mindclf.checkpoint import CheckpointFile
from mindclf.dataset import ImageSet
from mindclf.dataset.splits import find_folder, images_to_measure, labelled_for
from mindclf.inference.batches import filled_up
from mindclf.inference.onnx import require, write_card
from mindclf.inference.runner import Runner
from mindclf.metrics import Metrics, compute_metrics
from mindclf.utils.claim import claimed
from mindclf.utils.files import command_line, first_line, sha256

CALIBRATION_IMAGES = 128
ALLOWED_LOSS = 0.01  # of top-1, which goes from 0 to 1
FLOAT_CONVOLUTIONS = 3  # the first of a net: in 8 bits they cost the sorter 1.5 points (results/tables/int8.json)
BATCH_SIZE = 16
OPSET = 13  # of ONNX: the first in which each channel of a weight may have a scale of its own
ROUNDING = 1e-9


@dataclass(frozen=True)
class Quantized:
    """What `quantize` made, and from what: metrics on the test images, sizes in bytes, where the images come from."""

    path: Path
    before: Metrics
    after: Metrics
    bytes_before: int
    bytes_after: int
    origin: str


def quantize(model: str | Path, config: Mapping, destination: str | Path | None = None, calibration_images: int | None = None,
             allowed_loss: float = ALLOWED_LOSS) -> Quantized:
    """Writes the .onnx file `model` with 8-bit integers to `destination`, and its card; returns a `Quantized`.

    `config`, a full one, names the data as for training. Static quantisation by ONNX Runtime's own tool: activations get the
    ranges that so many training images show (CALIBRATION_IMAGES by default, or all if there are fewer), spread over all of
    them and preprocessed as evaluation does; each channel of a
    weight gets a scale of its own. The first FLOAT_CONVOLUTIONS stay in float32. Top-1 is measured on all test images before
    and after. If it falls by more than `allowed_loss`, a fraction, ValueError says so and nothing is written. `destination` is
    by default `model` with _int8 in its name.
    """
    model = Path(model)
    destination = Path(destination) if destination else model.with_name(f"{model.stem}_int8.onnx")
    _check(model, destination, calibration_images, allowed_loss)
    runner = Runner(model, runtime="onnxruntime")
    card = Card(runner.card)
    if "quantized" in card:
        raise ValueError(f"{model} has 8-bit integers already: give the .onnx that it was made from")
    folder, origin = find_folder(config)
    test, _ = images_to_measure(card, folder, config)
    train = labelled_for(card, folder, "train", config)
    if calibration_images is None:
        calibration_images = min(CALIBRATION_IMAGES, len(train))
    if calibration_images > len(train):
        raise ValueError(f"calibration_images={calibration_images} is more than the {len(train)} training images")
    chosen = train.take(np.linspace(0, len(train) - 1, calibration_images).round().astype(int).tolist())
    before = _measure(runner, test)
    destination.parent.mkdir(parents=True, exist_ok=True)
    with claimed(destination, is_file=True), replacing_with_card(destination, card) as file:
        write_quantized(model, file, runner, chosen)
        after = _measure(Runner(CheckpointFile(file, card), "onnxruntime"), test)
        loss = before.top1 - after.top1
        if loss > allowed_loss + ROUNDING:
            raise ValueError(f"{destination} was not written: top-1 falls from {before.top1:.2%} to {after.top1:.2%} of "
                             f"{after.images} test images, and the allowed loss is {allowed_loss:.2%}; more calibration "
                             f"images may help, --allow-loss {loss + 1e-4:.4f} would let it pass")
        card["metrics"] = {"test": after.scalars()}
        card["quantized"] = {
            "method": "static, by ONNX Runtime: 8-bit activations, 7-bit weights stored in 8, a scale for each channel",
            "float_convolutions": FLOAT_CONVOLUTIONS,
            "onnxruntime": require("onnxruntime").__version__, "calibration_pictures": len(chosen), "data": origin,
            "top1_before": round(before.top1, 6), "top1_after": round(after.top1, 6), "images": after.images,
            "bytes_before": model.stat().st_size, "from_sha256": sha256(model), "command": command_line(),
        }
        exported = card.get("exported", {})
        card["exported"] = {name: value for name, value in exported.items() if name != "checked"}  # that was the other file
        write_card(file, card)
    return Quantized(destination, before, after, model.stat().st_size, destination.stat().st_size, origin)


class _Calibration:
    """What ONNX Runtime's tool reads: get_next() gives {name of the input: images}, and None after the last."""

    def __init__(self, runner, images):
        self.name = runner.input_name
        self.size = runner.batch_size or BATCH_SIZE
        self.fills = runner.batch_size is not None
        self.batches = runner.images(images, self.size)

    def get_next(self):
        images = next(self.batches, None)
        if images is None:
            return None
        return {self.name: filled_up(images, self.size) if self.fills else images}  # repeating one changes no range


def _check(model, destination, calibration_images, allowed_loss):
    if model.suffix != ".onnx":
        raise ValueError(f"{model} is no .onnx: export the checkpoint first, with mindclf export {model} --format onnx")
    if destination.suffix != ".onnx":
        raise ValueError(f"{destination}: the name of an onnx file ends in .onnx")
    if destination.exists() and model.exists() and destination.samefile(model):
        raise ValueError(f"{model} cannot be written over: name another file")
    if calibration_images is not None and calibration_images < 1:
        raise ValueError(f"calibration_images={calibration_images} must be at least 1")
    if not 0 <= allowed_loss <= 1:
        raise ValueError(f"allowed_loss={allowed_loss} must lie between 0 and 1, as in 0.01 for a hundredth")


def _measure(runner, test):
    return compute_metrics(*runner.logits(test, BATCH_SIZE), len(runner.card.classes))


def write_quantized(model: str | Path, file: Path, runner: Runner, images: ImageSet) -> None:
    """Writes the .onnx `model`, which `runner` runs, with 8-bit integers to `file`, without a card; `images` show the ranges."""
    onnx, quantization = require("onnx"), require("onnxruntime.quantization")
    prepare = require("onnxruntime.quantization.shape_inference").quant_pre_process
    convert_version = require("onnx.version_converter").convert_version
    try:
        with tempfile.TemporaryDirectory() as folder:
            converted, prepared = (str(Path(folder) / name) for name in ("converted.onnx", "prepared.onnx"))
            loaded = onnx.load(str(model))
            if max(entry.version for entry in loaded.opset_import if entry.domain in ("", "ai.onnx")) < OPSET:
                loaded = convert_version(loaded, OPSET)
            onnx.save(loaded, converted)
            prepare(converted, prepared, skip_symbolic_shape=True)
            quantization.quantize_static(
                prepared, str(file), _Calibration(runner, images), quant_format=quantization.QuantFormat.QDQ, per_channel=True,
                activation_type=quantization.QuantType.QUInt8, weight_type=quantization.QuantType.QInt8,
                nodes_to_exclude=_beginning(onnx.load(prepared).graph),
                reduce_range=True,  # 7 bits: processors without VNNI add up pairs of products in 16 bits, and 8 would overflow
            )
    except Exception as error:  # onnx and ONNX Runtime have many kinds, and no class above them
        raise ValueError(f"{model} cannot be quantised: {first_line(error)}") from None


def _beginning(graph):
    """The names of all nodes before the convolution after the first FLOAT_CONVOLUTIONS; none, if the net has no such."""
    # With their activations: a ReLU6 in 8 bits behind a convolution in float32 gave garbage with ONNX Runtime 1.31.
    convolutions = [index for index, node in enumerate(graph.node) if node.op_type == "Conv"]
    end = convolutions[FLOAT_CONVOLUTIONS] if len(convolutions) > FLOAT_CONVOLUTIONS else 0
    return [node.name for node in graph.node[:end]]
