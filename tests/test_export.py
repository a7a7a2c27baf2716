"""Exported files compute what the checkpoint computes, for any number of images."""

import numpy as np
import pytest
from mindspore import Tensor

from mindclf import export as exporting
from mindclf.checkpoint import load_net, read_card, save_checkpoint
from mindclf.export import export

IMAGES = np.random.default_rng(1).standard_normal((5, 3, 32, 32)).astype(np.float32)


@pytest.mark.parametrize(("file_format", "run"), [("mindir", exporting._run_mindir), ("onnx", exporting._run_onnx)])
def test_exported_logits_are_the_checkpoints(fitted, tmp_path, file_format, run):
    if file_format == "onnx":
        pytest.importorskip("onnxruntime", reason="needs the extra onnx")
    file = export(fitted.checkpoint, file_format, tmp_path / f"net.{file_format}")
    net, card = load_net(fitted.checkpoint)
    for count in (1, 5):
        np.testing.assert_allclose(run(file, IMAGES[:count]), net(Tensor(IMAGES[:count])).asnumpy(), atol=1e-4)
    assert sorted(entry.name for entry in tmp_path.iterdir()) == [f"net.{file_format}", f"net.{file_format}.json"]
    assert card["classes"] == ["green", "blue", "red"]


@pytest.mark.parametrize("file_format", ["safetensors", "mindir"])
def test_an_export_beside_the_checkpoint_leaves_it_usable(fitted, tmp_path, file_format):
    checkpoint = save_checkpoint(load_net(fitted.checkpoint)[0], tmp_path / "net.ckpt", read_card(fitted.checkpoint))
    assert export(checkpoint, file_format) == tmp_path / f"net.{file_format}"
    load_net(checkpoint)


def test_safetensors_loads_as_a_checkpoint(fitted, tmp_path):
    file = export(fitted.checkpoint, "safetensors", tmp_path / "net.safetensors")
    first, second = load_net(fitted.checkpoint)[0], load_net(file)[0]
    np.testing.assert_array_equal(first(Tensor(IMAGES)).asnumpy(), second(Tensor(IMAGES)).asnumpy())


def test_a_file_that_computes_something_else_is_not_written(fitted, tmp_path, monkeypatch):
    monkeypatch.setattr(exporting, "_run_mindir", lambda file, images: np.full((len(images), 3), np.nan))
    with pytest.raises(ValueError, match="was not written: its logits differ by nan"):
        export(fitted.checkpoint, "mindir", tmp_path / "net.mindir")
    assert list(tmp_path.iterdir()) == []


def test_wrong_formats_and_names_are_said(fitted, tmp_path):
    with pytest.raises(ValueError, match="format 'tflite' is not known; expected one of mindir, onnx, safetensors"):
        export(fitted.checkpoint, "tflite")
    with pytest.raises(ValueError, match="a mindir file ends in .mindir"):
        export(fitted.checkpoint, "mindir", tmp_path / "net.onnx")
