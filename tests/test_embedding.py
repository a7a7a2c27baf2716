"""Features in files, images that resemble each other, and their map: against NumPy and the net itself."""

import json

import mindspore as ms
import numpy as np
import pytest
from PIL import Image

import mindclf
from mindclf import cli
from mindclf.checkpoint import load_net, save_checkpoint
from mindclf.dataset import eval_pipeline, read_folder
from mindclf.embedding import Embedder, Features
from mindclf.report.components import principal_components
from tests.conftest import CLASS_INDEX

RNG = np.random.default_rng(2)
pytestmark = pytest.mark.usefixtures("uncompiled")


def made(features, labels=(0, 1, -1)):
    paths = ("a/1.png", "b/2.png", "3.png")
    return Features(np.array(features, np.float32), paths, np.array(labels), ("a", "b"), "net.ckpt", "0f")


def test_the_nearest_are_those_of_the_largest_cosine():
    found = made([[3, 4], [0, -1], [5, 0]]).nearest(np.array([2.0, 0.0]), 3)
    assert [(near.path, near.class_name) for near in found] == [("3.png", ""), ("a/1.png", "a"), ("b/2.png", "b")]
    assert [near.similarity for near in found] == pytest.approx([1, 0.6, 0])
    assert made([[0, 0], [1, 0], [0, 1]]).nearest(np.array([1.0, 0.0]), 3)[1].similarity == 0  # one that is all 0


def test_a_file_gives_back_what_was_saved_and_damage_is_one_line(tmp_path):
    features = made(RNG.standard_normal((3, 4)))
    again = Features.load(features.save(tmp_path / "x.npz"))
    np.testing.assert_array_equal(again.features, features.features)
    assert (again.paths, again.labels.tolist()) == (features.paths, [0, 1, -1])
    assert (again.classes, again.checkpoint, again.weights_sha256) == (("a", "b"), "net.ckpt", "0f")
    with np.load(tmp_path / "x.npz") as archive:
        assert archive["features"].dtype == np.float32 and archive["features"].shape == (3, 4)
        assert archive["paths"].tolist() == ["a/1.png", "b/2.png", "3.png"] and archive["classes"].tolist() == ["a", "b"]
    (tmp_path / "half.npz").write_bytes((tmp_path / "x.npz").read_bytes()[:200])
    np.savez(tmp_path / "other.npz", features=np.zeros((2, 2)))
    made(features.features, (0, 1, 2)).save(tmp_path / "label.npz")
    for name in ("half", "other", "label"):
        with pytest.raises(ValueError, match=rf"{name}.npz is damaged"):
            Features.load(tmp_path / f"{name}.npz")
    with pytest.raises(ValueError, match=r"ends in \.npz$"):
        features.save(tmp_path / "x.txt")


def test_features_are_the_pooled_maps_of_the_backbone(fitted, colour_folder):
    found = mindclf.extract_features(colour_folder / "test", fitted.checkpoint)
    net, card = load_net(fitted.checkpoint)
    images = read_folder(colour_folder / "test", CLASS_INDEX)
    [(batch, _)] = eval_pipeline(images, card.preprocessing, 9).create_tuple_iterator(num_epochs=1, output_numpy=True)
    expected = dict(zip(images.paths, net.backbone(ms.Tensor(batch)).asnumpy().mean((2, 3))))
    np.testing.assert_allclose(found.features, [expected[path] for path in found.paths], rtol=1e-3, atol=1e-4)
    assert found.classes == ("blue", "green", "red")
    assert [found.classes[label] for label in found.labels] == [path.split("/")[-2] for path in found.paths]


def test_an_image_is_most_similar_to_itself_from_a_folder_and_from_a_file(fitted, colour_folder, tmp_path, capsys):
    folder, query = colour_folder / "test", colour_folder / "test" / "red" / "1.png"
    to = tmp_path / "x.npz"
    assert cli.main(["features", str(fitted.checkpoint), str(folder), "--to", str(to)]) == 0
    assert capsys.readouterr().out == f"{to}: 32 features of each of 9 images in 3 folders\n"
    [own], [pixels] = (mindclf.similar_images([source], to, count=2) for source in (query, np.asarray(Image.open(query))))
    assert own[0].path == str(query) and own[0].similarity == pytest.approx(1, abs=1e-5) and own[0].class_name == "red"
    assert pixels[0].path == str(query)
    arguments = ["similar", str(query), str(folder / "blue"), str(to), "--top-k", "2", "--json"]
    assert cli.main(arguments) == 0
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert len(lines) == 4 and lines[0]["similar"][0] == {
        "image": str(query), "similarity": pytest.approx(1, abs=1e-5), "class": "red"}
    assert cli.main(["similar", "--checkpoint", str(fitted.checkpoint), str(query), str(folder)]) == 0
    first, second = capsys.readouterr().out.splitlines()[:2]
    assert first == str(query) and second.split() == ["1.000", str(query), "red"]


def test_what_cannot_be_read_is_named_and_the_rest_is_written(fitted, colour_folder, tmp_path, caplog, capsys):
    folder = tmp_path / "mixed"
    folder.mkdir()
    (folder / "good.png").write_bytes((colour_folder / "test" / "red" / "0.png").read_bytes())
    (folder / "note.png").write_text("no image")
    assert cli.main(["features", str(fitted.checkpoint), str(folder), "--to", str(tmp_path / "x.npz")]) == 2
    assert "note.png is not an image but text" in caplog.text
    found = Features.load(tmp_path / "x.npz")
    assert found.paths == (str(folder / "good.png"),) and found.labels.tolist() == [-1] and found.classes == ()
    with pytest.raises(ValueError, match=r"note\.png is not an image"):
        mindclf.similar_images([folder / "note.png"], tmp_path / "x.npz")
    assert cli.main(["features", str(fitted.checkpoint), str(tmp_path / "none"), "--to", str(tmp_path / "y.npz")]) == 2
    assert "none is no folder" in capsys.readouterr().err


def test_features_of_other_weights_are_refused(fitted, colour_folder, tmp_path):
    mindclf.extract_features(colour_folder / "test", fitted.checkpoint).save(tmp_path / "x.npz")
    net, card = load_net(fitted.checkpoint)
    for parameter in net.head.get_parameters():
        parameter.set_data(parameter + 1)
    other = save_checkpoint(net, tmp_path / "other.ckpt", card)
    with pytest.raises(ValueError, match=r"other weights than .*other\.ckpt has"):
        mindclf.similar_images([colour_folder / "test" / "red" / "0.png"], tmp_path / "x.npz", other)


def test_an_exported_file_has_no_features(fitted, tmp_path):
    with pytest.raises(ValueError, match=r"net\.onnx gives logits alone, no features"):
        Embedder(tmp_path / "net.onnx")


def test_principal_components_are_those_of_the_covariance():
    features = RNG.standard_normal((50, 6)) * np.array([1, 5, 1, 3, 1, 1])
    points, explained = principal_components(features)
    values, vectors = np.linalg.eigh(np.cov(features.T))
    np.testing.assert_allclose(explained, values[::-1][:2] / values.sum())
    np.testing.assert_allclose(np.abs(points), np.abs((features - features.mean(0)) @ vectors[:, ::-1][:, :2]), atol=1e-8)
    np.testing.assert_allclose(principal_components(features + 7)[0], points, atol=1e-8)
    assert not principal_components(np.ones((4, 3)))[0].any() and principal_components(np.ones((1, 1)))[0].shape == (1, 2)
