"""A quantised file has 8-bit weights, says what it costs on the test images, and is not written if that is too much."""

import shutil

import numpy as np
import pytest

from mindclf import quantize as quantizing
from mindclf.checkpoint import read_card
from mindclf.config import merge
from mindclf.dataset import read_folder
from mindclf.inference.runner import Runner
from mindclf.predict import Predictor
from mindclf.quantize import quantize
from tests.conftest import CLASS_INDEX

onnx = pytest.importorskip("onnx", reason="needs the extra onnx")
quantization = pytest.importorskip("onnxruntime.quantization", reason="needs the extra onnx")

INT8 = onnx.TensorProto.INT8
CONVOLUTIONS = 4  # of TINY_NET: the stem, 2 in its block, and the last


@pytest.fixture
def config(colour_folder):
    return merge({}, {"dataset_path": str(colour_folder)})


def accuracy_of(file, folder):
    """The fraction of the test images that the file predicts correctly, counted by hand."""
    images = read_folder(folder / "test", CLASS_INDEX)
    predictions = Predictor(file).predict(images.paths, top_k=1)
    return np.mean([CLASS_INDEX[top.name] == label for [top], label in zip(predictions, images.labels)])


@pytest.mark.parametrize("options", [{}, {"with_preprocessing": True}, {"batch_size": 4}], ids=str)
def test_a_quantized_file_has_8_bit_weights_and_says_its_accuracy(exported, config, colour_folder, tmp_path, options):
    model = exported("onnx", **options)
    made = quantize(model, config, tmp_path / "small.onnx", calibration_images=10, allowed_loss=1)
    weights = {entry.name: entry for entry in onnx.load(str(made.path)).graph.initializer}
    kernels = [entry.data_type for entry in weights.values() if len(entry.dims) == 4]
    assert kernels.count(INT8) == CONVOLUTIONS - 3 and kernels.count(onnx.TensorProto.FLOAT) == 3  # the first stay in float
    card = read_card(made.path)
    for when, measured, file in (("before", made.before, model), ("after", made.after, made.path)):
        assert card["quantized"][f"top1_{when}"] == round(measured.top1, 6)
        assert measured.top1 == pytest.approx(accuracy_of(file, colour_folder))
    assert card["metrics"] == {"test": made.after.scalars()} and made.after.images == 9
    assert (made.bytes_before, made.bytes_after) == (model.stat().st_size, made.path.stat().st_size)
    assert "checked" not in card["exported"] and card["classes"] == ["green", "blue", "red"]
    inside = Predictor(shutil.copy(made.path, tmp_path / "alone.onnx")).card
    assert inside == {name: value for name, value in card.items() if name != "weights_sha256"}


def test_each_channel_has_a_scale_of_its_own(exported, config, tmp_path):
    made = quantize(exported("onnx"), config, tmp_path / "small.onnx", calibration_images=4, allowed_loss=1)
    graph = onnx.load(str(made.path)).graph
    values = {entry.name: entry for entry in graph.initializer}
    scales = [(values[node.input[0]], values[node.input[1]]) for node in graph.node
              if node.op_type == "DequantizeLinear" and node.input[0] in values and len(values[node.input[0]].dims) == 4]
    assert scales and all(list(scale.dims) == [weight.dims[0]] for weight, scale in scales)
    for weight, _ in scales:  # 7 bits, so that sums fit into 16 on processors without VNNI
        assert np.abs(onnx.numpy_helper.to_array(weight).astype(int)).max() <= 64


def test_what_calibrates_are_training_images_as_evaluation_sees_them(exported, config, colour_folder, tmp_path, monkeypatch):
    given = []

    def note(model, file, reader, **_):
        while batch := reader.get_next():
            [images] = batch.values()
            given.extend(image.tobytes() for image in images)
        shutil.copy(model, file)

    monkeypatch.setattr(quantization, "quantize_static", note)
    model = exported("onnx")
    quantize(model, config, tmp_path / "small.onnx", calibration_images=6, allowed_loss=1)
    train = read_folder(colour_folder / "train", CLASS_INDEX)
    label_of = {image.tobytes(): label for [image], label in zip(Runner(model).images(train, 1), train.labels)}
    assert len(set(given)) == len(given) == 6
    assert {label_of[image] for image in given} == {0, 1, 2}


def negated(model, file, runner, images):
    """Writes a file that gives the logits of `model` with the other sign: the worst class first."""
    loaded = onnx.load(str(model))
    for node in loaded.graph.node:
        for index, name in enumerate(node.output):
            if name == "logits":
                node.output[index] = "positive"
    loaded.graph.node.append(onnx.helper.make_node("Neg", ["positive"], ["logits"]))
    onnx.save(loaded, str(file))


def test_a_file_that_loses_more_than_allowed_is_not_written(exported, fitted, config, tmp_path, monkeypatch):
    monkeypatch.setattr(quantizing, "write_quantized", negated)
    before = fitted.report.top1
    assert before > 0.5, "the fitted net must know more than chance, or there is nothing to lose"
    with pytest.raises(ValueError, match=f"was not written: top-1 falls from {before:.2%} to .* and the allowed loss is 1.00%"):
        quantize(exported("onnx"), config, tmp_path / "small.onnx", calibration_images=4)
    assert list(tmp_path.iterdir()) == []
    made = quantize(exported("onnx"), config, tmp_path / "small.onnx", calibration_images=4, allowed_loss=1)
    assert made.before.top1 == before > made.after.top1 and made.path.is_file()


def test_a_quantized_file_is_not_quantized_again(exported, config, tmp_path):
    made = quantize(exported("onnx"), config, tmp_path / "small.onnx", calibration_images=4, allowed_loss=1)
    with pytest.raises(ValueError, match="has 8-bit integers already"):
        quantize(made.path, config, tmp_path / "smaller.onnx")
    assert not (tmp_path / "smaller.onnx").exists()


def test_all_training_images_calibrate_where_there_are_fewer_than_by_default(exported, config, tmp_path):
    made = quantize(exported("onnx"), config, tmp_path / "small.onnx", allowed_loss=1)
    assert read_card(made.path)["quantized"]["calibration_pictures"] == 30


@pytest.mark.parametrize(("arguments", "message"), [
    ({"calibration_images": 31}, "calibration_images=31 is more than the 30 training images"),
    ({"calibration_images": 0}, "calibration_images=0 must be at least 1"),
    ({"allowed_loss": 2}, "allowed_loss=2 must lie between 0 and 1"),
    ({"destination": "small.mindir"}, "the name of an onnx file ends in .onnx"),
    ({"model": "net.ckpt"}, "net.ckpt is no .onnx: export the checkpoint first"),
    ({"model": "missing.onnx"}, "missing.onnx does not exist"),
])
def test_what_cannot_be_quantized_is_said(exported, config, tmp_path, arguments, message):
    arguments = {"destination": "small.onnx", **arguments}
    model = tmp_path / arguments.pop("model") if "model" in arguments else exported("onnx")
    destination = tmp_path / arguments.pop("destination")
    with pytest.raises(ValueError, match=message):
        quantize(model, config, destination, **arguments)
    assert list(tmp_path.iterdir()) == []


def test_a_model_is_not_written_over(exported, config):
    with pytest.raises(ValueError, match="cannot be written over: name another file"):
        quantize(exported("onnx"), config, exported("onnx"))
