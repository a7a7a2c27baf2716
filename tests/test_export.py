"""Exported files compute what the checkpoint computes, for the images that they say they take, and say what they are."""

import json
import sys

import numpy as np
import pytest
from mindspore import Tensor

from mindclf import export as exporting
from mindclf.checkpoint import load_net, read_card, save_checkpoint
from mindclf.dataset import pixel_pipeline, read_folder
from mindclf.export import export
from mindclf.inference.runner import Runner
from mindclf.predict import Predictor
from tests.conftest import CLASS_INDEX

IMAGES = np.random.default_rng(1).standard_normal((5, 3, 32, 32)).astype(np.float32)
FORMATS = ("mindir", "onnx")


def run(file, images):
    return (exporting._run_onnx if file.suffix == ".onnx" else exporting._run_mindir)(file, images)


@pytest.fixture
def onnx():
    pytest.importorskip("onnxruntime", reason="needs the extra onnx")
    return pytest.importorskip("onnx", reason="needs the extra onnx")


@pytest.mark.parametrize("file_format", FORMATS)
def test_exported_logits_are_the_checkpoints(exported, fitted, file_format):
    file = exported(file_format)
    net, card = load_net(fitted.checkpoint)
    for count in (1, 5):
        np.testing.assert_allclose(run(file, IMAGES[:count]), net(Tensor(IMAGES[:count])).asnumpy(), atol=1e-4)
    assert card["classes"] == ["green", "blue", "red"]


@pytest.mark.parametrize("file_format", FORMATS)
def test_exported_files_are_as_sure_as_the_checkpoint(fitted, colour_folder, tmp_path, file_format):
    """By the temperature and the threshold of its card, which they carry."""
    if file_format == "onnx":
        pytest.importorskip("onnxruntime", reason="needs the extra onnx")
    net, card = load_net(fitted.checkpoint)
    image = str(colour_folder / "test" / "red" / "0.png")
    marked = tmp_path / "marked.ckpt"
    save_checkpoint(net, marked, {**card, "calibration": {"temperature": 4.0, "threshold": 0.9999}})
    logits = Predictor(marked).logits([image])[0].astype(float) / 4
    for file in (marked, export(marked, file_format)):
        found = Predictor(file).predict(image)
        assert found.answer == "not sure"
        assert found[0].probability == pytest.approx(np.exp(logits.max()) / np.exp(logits).sum(), abs=1e-4)


def test_an_export_is_a_file_and_its_card(fitted, tmp_path):
    export(fitted.checkpoint, "mindir", tmp_path / "net.mindir")
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["net.mindir", "net.mindir.json"]


@pytest.mark.parametrize("file_format", FORMATS)
def test_folders_may_have_any_name(fitted, tmp_path, file_format):
    if file_format == "onnx":
        for package in ("onnx", "onnxruntime"):
            pytest.importorskip(package, reason="needs the extra onnx")
    file = export(fitted.checkpoint, file_format, tmp_path / "my models (红 色)" / f"my net.{file_format}")
    assert Runner(file).run(IMAGES[:1]).shape == (1, 3)


@pytest.mark.parametrize("file_format", FORMATS)
def test_with_preprocessing_is_without_it_after_numpys(exported, colour_folder, file_format):
    plain, inside = Runner(exported(file_format)), Runner(exported(file_format, with_preprocessing=True))
    assert (plain.takes_pixels, inside.takes_pixels) == (False, True)
    image_set = read_folder(colour_folder / "test", CLASS_INDEX)
    [pixels] = inside.images(image_set, 9)
    assert (pixels.shape, pixels.dtype) == ((9, 32, 32, 3), np.uint8)
    images = (pixels - np.array(plain.card["mean"])) / np.array(plain.card["std"])
    images = images.transpose(0, 3, 1, 2).astype(np.float32)
    np.testing.assert_allclose(inside.run(pixels), plain.run(images), atol=1e-4)
    np.testing.assert_allclose(inside.logits(image_set, 9)[0], plain.logits(image_set, 9)[0], atol=1e-4)


def test_pixels_are_what_evaluation_normalises(fitted, colour_folder):
    image_set = read_folder(colour_folder / "test", CLASS_INDEX)
    runner = Runner(fitted.checkpoint)
    [images] = runner.images(image_set, 9)
    [pixels] = (batch for batch, _ in pixel_pipeline(image_set, runner.preprocessing, 9).create_tuple_iterator(
        num_epochs=1, output_numpy=True))
    expected = (pixels - np.array(runner.card["mean"])) / np.array(runner.card["std"])
    np.testing.assert_allclose(images, expected.transpose(0, 3, 1, 2), atol=1e-5)


def test_a_batch_size_is_the_files_and_no_others(exported, colour_folder, onnx):
    from onnxruntime import InferenceSession

    file = exported("onnx", batch_size=4)
    session = InferenceSession(str(file), providers=["CPUExecutionProvider"])
    assert session.get_inputs()[0].shape == [4, 3, 32, 32]
    with pytest.raises(Exception, match="(?i)invalid dimensions"):
        session.run(None, {"images": IMAGES[:3]})
    images = read_folder(colour_folder / "test", CLASS_INDEX)  # 9, so that a batch is filled up
    np.testing.assert_allclose(Runner(file).logits(images, 16)[0], Runner(exported("onnx")).logits(images, 16)[0], atol=1e-4)


def test_the_metadata_of_an_onnx_are_its_card_classes_and_preprocessing(exported, onnx):
    for options in ({}, {"with_preprocessing": True}):
        file = exported("onnx", **options)
        inside = {entry.key: json.loads(entry.value) for entry in onnx.load(str(file)).metadata_props}
        card = read_card(file)
        del card["weights_sha256"]
        assert inside["mindclf.card"] == card and inside["classes"] == card["classes"] == ["green", "blue", "red"]
        # 36 = 32 / 0.875, rounded down; nothing is brought to a raw size
        assert inside["preprocessing"] == {"colours": "RGB", "raw_size": None, "shorter_side": 36, "crop": [32, 32],
                                           "mean": card["mean"], "std": card["std"]}
        assert card["exported"]["with_preprocessing"] == bool(options)


def test_a_card_says_what_the_file_takes_and_how_it_was_checked(exported):
    facts = read_card(exported("mindir"))["exported"]
    assert facts["input"] == {"type": "float32", "shape": ["N", 3, 32, 32], "values": "(pixel - mean) / std"}
    assert facts["checked"].pop("largest_difference") < 1e-4
    assert facts["checked"] == {"pictures": "your folder", "batch_sizes": [1, 4]}
    facts = read_card(exported("mindir", with_preprocessing=True))["exported"]
    assert facts["input"] == {"type": "uint8", "shape": ["N", 32, 32, 3], "values": "pixels, 0 to 255"}


def test_an_exported_net_has_no_batch_norm_left(exported, onnx):
    kinds = {node.op_type for node in onnx.load(str(exported("onnx"))).graph.node}
    assert "Conv" in kinds and "BatchNormalization" not in kinds


@pytest.mark.parametrize("file_format", ["safetensors", "mindir"])
def test_an_export_beside_the_checkpoint_leaves_it_usable(fitted, tmp_path, file_format):
    checkpoint = save_checkpoint(load_net(fitted.checkpoint)[0], tmp_path / "net.ckpt", read_card(fitted.checkpoint))
    assert export(checkpoint, file_format) == tmp_path / f"net.{file_format}"
    load_net(checkpoint)


def test_safetensors_loads_as_a_checkpoint(fitted, tmp_path):
    file = export(fitted.checkpoint, "safetensors", tmp_path / "net.safetensors")
    first, second = load_net(fitted.checkpoint)[0], load_net(file)[0]
    np.testing.assert_array_equal(first(Tensor(IMAGES)).asnumpy(), second(Tensor(IMAGES)).asnumpy())


@pytest.mark.parametrize("wrong", [np.nan, 100.0])
def test_a_file_that_computes_something_else_is_not_written(fitted, tmp_path, monkeypatch, wrong):
    monkeypatch.setattr(exporting, "_run_mindir", lambda file, images: np.full((len(images), 3), wrong))
    with pytest.raises(ValueError, match="was not written: its logits differ by"):
        export(fitted.checkpoint, "mindir", tmp_path / "net.mindir")
    assert list(tmp_path.iterdir()) == []


def test_one_image_of_a_batch_that_differs_is_enough(fitted, tmp_path, monkeypatch):
    honest = exporting._run_mindir

    def last_of_four_is_off(file, images):
        logits = honest(file, images).copy()
        logits[3:] += 0.5
        return logits

    monkeypatch.setattr(exporting, "_run_mindir", last_of_four_is_off)
    with pytest.raises(ValueError, match="its logits differ by 0.5 from the checkpoint's"):
        export(fitted.checkpoint, "mindir", tmp_path / "net.mindir")


def test_logits_may_differ_by_a_ten_thousandth_of_the_largest_and_no_more(fitted, tmp_path, monkeypatch):
    honest, off = exporting._run_mindir, [0.5e-4]

    def a_little_off(file, images):
        logits = honest(file, images)
        return logits + off[0] * max(1, np.abs(logits).max())

    monkeypatch.setattr(exporting, "_run_mindir", a_little_off)
    export(fitted.checkpoint, "mindir", tmp_path / "net.mindir", batch_size=1)
    off[0] = 2e-4
    with pytest.raises(ValueError, match="was not written: its logits differ by 0.000"):
        export(fitted.checkpoint, "mindir", tmp_path / "other.mindir", batch_size=1)


@pytest.mark.parametrize(("file_format", "name", "options", "message"), [
    ("tflite", None, {}, "format 'tflite' is not known; expected one of mindir, onnx, safetensors"),
    ("air", None, {}, "format 'air' can be written on an Ascend only; a mindir runs on CPU, GPU and Ascend"),
    ("mindir", "net.onnx", {}, "a file of format mindir has a name that ends in .mindir"),
    ("safetensors", "net.safetensors", {"with_preprocessing": True}, "a safetensors file holds weights alone"),
    ("safetensors", "net.safetensors", {"batch_size": 4}, "a safetensors file holds weights alone"),
    ("mindir", "net.mindir", {"batch_size": 0}, "batch_size=0 must lie between 1 and 65536"),
])
def test_what_cannot_be_exported_is_said(fitted, tmp_path, file_format, name, options, message):
    with pytest.raises(ValueError, match=message):
        export(fitted.checkpoint, file_format, name and tmp_path / name, **options)
    assert list(tmp_path.iterdir()) == []


def test_without_the_extra_onnx_it_is_asked_for(fitted, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "onnx", None)
    with pytest.raises(ValueError, match="ONNX files need onnx: pip install onnx onnxruntime"):
        export(fitted.checkpoint, "onnx", tmp_path / "net.onnx")
    assert list(tmp_path.iterdir()) == []
