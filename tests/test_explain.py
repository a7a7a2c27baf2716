"""Grad-CAM: the heatmap is what the paper's equations say, and it lies where the class is, on the image as it came."""

import itertools
import unicodedata

import mindspore as ms
import numpy as np
import pytest
from matplotlib import colormaps
from mindspore import Tensor, nn
from PIL import Image

from mindclf.checkpoint import load_net
from mindclf.dataset import ImageSet
from mindclf.explain import OPACITY, UNSEEN_LIGHT, class_activation, explain, explanations, find_class
from mindclf.labels import class_en, class_labels
from mindclf.nets.layers import DenseHead, ImageClassifier, conv2d
from mindclf.predict import Predictor
from mindclf.preprocessing import Preprocessing
from mindclf.train import fit
from tests.conftest import COLOURS, make_config

RED, BLUE, GREY = (255, 0, 0), (0, 0, 255), (128, 128, 128)


def pointwise(weights):
    """The ReLU of a 1x1 convolution with `weights` (channels, 3): maps of the images' own size."""
    convolution = conv2d(3, len(weights), kernel_size=1)
    convolution.weight.set_data(Tensor(np.array(weights, np.float32)[:, :, None, None]))
    return nn.SequentialCell(convolution, nn.ReLU())


def test_activations_are_equations_1_and_2_in_numpy():
    rng = np.random.default_rng(0)
    images = rng.standard_normal((4, 3, 5, 6)).astype(np.float32)
    to_maps, to_logits, bias = rng.standard_normal((7, 3)), rng.standard_normal((3, 7, 5, 6)), rng.standard_normal(3)
    dense = nn.Dense(7 * 5 * 6, 3, weight_init=Tensor(to_logits.reshape(3, -1), ms.float32), bias_init=Tensor(bias, ms.float32))
    net = ImageClassifier(pointwise(to_maps), nn.SequentialCell(nn.Flatten(), dense))

    maps = np.maximum(np.einsum("kc,nchw->nkhw", to_maps, images), 0)
    logits = np.einsum("nkhw,lkhw->nl", maps, to_logits) + bias
    for targets in ([2, 0, 1, 1], None):
        gradients = to_logits[logits.argmax(1) if targets is None else targets]           # (4, 7, 5, 6)
        summed = np.einsum("nk,nkhw->nhw", gradients.mean((2, 3)), maps)
        expected = np.maximum(summed, 0) / summed.max((1, 2), keepdims=True)
        assert (summed.max((1, 2)) > 0).all() and (summed < 0).any()
        activations, found = class_activation(net, Tensor(images), targets)
        np.testing.assert_allclose(activations, expected, atol=1e-5)
        np.testing.assert_allclose(found, logits, atol=1e-4)
        assert activations.dtype == np.float32


def test_dropout_sleeps_and_the_net_is_left_in_inference_mode():
    net = ImageClassifier(pointwise(np.eye(3)), DenseHead(3, 2, dropout=0.9)).set_train(True)
    net.head.classifier.weight.set_data(Tensor([[1, 2, 3], [3, 2, 1]], ms.float32))
    images = Tensor(np.random.default_rng(0).random((1, 3, 8, 8), np.float32))
    first, second = (class_activation(net.set_train(True), images, [0])[0] for _ in range(2))
    np.testing.assert_array_equal(first, second)
    assert first.max() == 1 and not net.training


@pytest.mark.parametrize("targets", [[0], [0, 2], [0, -1], [[0, 1]]])
def test_targets_must_be_a_class_for_each_image(targets):
    net = ImageClassifier(pointwise(np.eye(3)), DenseHead(3, 2))
    with pytest.raises(ValueError, match="must be a class from 0 to 1 for each of 2 images"):
        class_activation(net, Tensor(np.ones((2, 3, 4, 4), np.float32)), targets)


@pytest.fixture(scope="module")
def colour_net():
    """A net whose class 0 is how much of an image is red, and class 1 how much is blue."""
    head = DenseHead(2, 2)
    head.classifier.weight.set_data(Tensor(np.eye(2, dtype=np.float32)))
    return ImageClassifier(pointwise([[1, -1, -1], [-1, -1, 1]]), head)


def looking(size=(64, 64), crop_pct=1.0, raw_size=None):
    """The `Preprocessing` of `colour_net`."""
    return Preprocessing(size, crop_pct, (0, 0, 0), (255, 255, 255), raw_size)


def painted(size, *rectangles):
    """A grey image (height, width, 3) with rectangles of (top, bottom, left, right, colour)."""
    pixels = np.full((*size, 3), GREY, np.uint8)
    for top, bottom, left, right, colour in rectangles:
        pixels[top:bottom, left:right] = colour
    return pixels


def in_grey(pixels):
    """Luminance by ITU-R BT.601, in three equal channels."""
    return np.repeat((np.asarray(pixels) @ (0.299, 0.587, 0.114))[..., None], 3, -1)


def looked_at(net, preprocessing, pixels, target):
    labels = class_labels(["red", "blue"])
    [found] = explanations(net, preprocessing, labels, ImageSet((pixels,), (0,), ("red", "blue")), [target])
    return found


CUTS = [  # height and width of the image, height and width of what the net sees, crop_pct, raw_size
    ((120, 200), (64, 64), 1.0, None),
    ((200, 120), (64, 64), 0.875, None),
    ((120, 200), (64, 48), 0.875, None),
    ((160, 160), (48, 64), 0.5, None),
    ((120, 200), (32, 32), 1.0, (32, 32)),
    ((200, 120), (64, 64), 0.875, (32, 32)),
]


@pytest.mark.parametrize("target", [0, 1], ids=["red", "blue"])
@pytest.mark.parametrize(("size", "seen", "crop_pct", "raw_size"), CUTS)
def test_the_heatmap_lies_on_the_class_looked_for_however_the_image_is_cut(colour_net, size, seen, crop_pct, raw_size, target):
    middle, centre = size[0] // 2, size[1] // 2
    red = (middle - 7, middle + 23, centre - 25, centre + 5)
    blue = (middle - 28, middle - 8, centre + 15, centre + 35)
    found = looked_at(colour_net, looking(seen, crop_pct, raw_size), painted(size, (*red, RED), (*blue, BLUE)), target)
    assert found.heatmap.shape == size and found.heatmap.dtype == np.float32
    assert found.prediction.name == ("red", "blue")[target] and [each.name for each in found.predictions] == ["red", "blue"]
    top, bottom, left, right = (red, blue)[target]
    blur = 8 if raw_size else 4  # pixels of the image: two of what the net sees
    inside = found.heatmap[top + blur:bottom - blur, left + blur:right - blur]
    around = found.heatmap[top - blur:bottom + blur, left - blur:right + blur]
    assert inside.min() > 0.8
    assert around.sum() > 0.99 * found.heatmap.sum()
    rows, columns = np.indices(size)
    for places, first, last in ((rows, top, bottom), (columns, left, right)):
        assert np.average(places, weights=found.heatmap) == pytest.approx((first + last - 1) / 2, abs=blur / 4)


def test_what_the_net_did_not_see_has_no_heatmap_and_is_dark(colour_net):
    pixels = painted((100, 200), (0, 100, 0, 40, RED))  # the net sees the middle, columns 50 to 149
    found = looked_at(colour_net, looking(), pixels, target=0)
    assert not found.heatmap.any()
    overlay = np.asarray(found.overlay)
    np.testing.assert_allclose(overlay[:, 50:150], in_grey(pixels[:, 50:150]), atol=1)
    for unseen in (np.s_[:, :50], np.s_[:, 150:]):
        np.testing.assert_allclose(overlay[unseen], UNSEEN_LIGHT * in_grey(pixels[unseen]), atol=1)


def test_the_overlay_is_the_image_in_grey_under_the_colours_of_its_heatmap(colour_net):
    pixels = painted((80, 80), (20, 60, 0, 40, RED))
    found = looked_at(colour_net, looking(), pixels, target=0)
    assert found.overlay.size == (80, 80) and found.overlay.mode == "RGB"
    overlay = np.asarray(found.overlay).astype(float)
    hottest = 255 * np.array(colormaps["turbo"](1.0)[:3])
    np.testing.assert_allclose(overlay[40, 20], OPACITY * hottest + (1 - OPACITY) * in_grey(RED), atol=3)
    assert (overlay[:, 60:] == GREY).all()


def test_a_smaller_copy_has_its_heatmap_in_the_same_place(colour_net):
    found = looked_at(colour_net, looking(), painted((120, 200), (20, 60, 60, 100, RED)), target=0)
    small = found.shrunk(50)
    assert small.image.size == (50, 30) and small.heatmap.shape == (30, 50) and found.image.size == (200, 120)
    assert np.abs(small.heatmap - found.heatmap.reshape(30, 4, 50, 4).mean((1, 3))).mean() < 0.02


@pytest.fixture(scope="module")
def finder(tmp_path_factory):
    """(what fit made, test images, boxes): a square of the class's colour at a random place on grey noise, 64 x 64 pixels."""
    root, rng = tmp_path_factory.mktemp("squares"), np.random.default_rng(0)
    boxes = {}
    for split, count in (("train", 32), ("test", 8)):
        for name, colour in COLOURS.items():
            folder = root / split / name
            folder.mkdir(parents=True)
            for index in range(count):
                pixels = np.clip(128 + rng.normal(0, 20, (64, 64, 1)) + np.zeros(3), 0, 255).astype(np.uint8)
                top, left = rng.integers(0, 44, 2)
                pixels[top:top + 20, left:left + 20] = colour
                Image.fromarray(pixels).save(folder / f"{index}.png")
                boxes[str(folder / f"{index}.png")] = top, left
    config = {**make_config(root, root), "image_height": 64, "image_width": 64, "crop_pct": 1.0, "batch_size": 8, "epochs": 12,
              "scale": (0.9, 1.0), "ratio": (1.0, 1.0), "color_adjust": 0.0, "valid_fraction": 0.0}
    fitted = fit(config)
    assert fitted.report.top1 > 0.9
    return fitted, boxes


def test_a_trained_net_points_at_what_it_was_trained_to_tell(finder):
    """The pointing game: the hottest pixel is one of the square's, or next to it by a cell of the maps (4 pixels)."""
    fitted, boxes = finder
    net, card = load_net(fitted.checkpoint)
    paths = [path for path in boxes if "/test/" in path]
    targets = [next(index for index, name in enumerate(card.classes) if f"/{name}/" in path) for path in paths]
    hits = 0
    images = ImageSet(tuple(paths), tuple(targets), card.classes)
    for path, found in zip(paths, explanations(net, card.preprocessing, card.labels, images, targets)):
        row, column = np.unravel_index(found.heatmap.argmax(), found.heatmap.shape)
        top, left = boxes[path]
        hits += top - 4 <= row < top + 24 and left - 4 <= column < left + 24
    assert len(paths) == 24 and hits >= 18  # by chance 28 * 28 of 64 * 64 pixels: 5 of 24


def test_explain_predicts_as_a_predictor_does(finder):
    fitted, boxes = finder
    path = next(path for path in boxes if "/test/red" in path)
    found = explain(fitted.checkpoint, path)
    expected = Predictor(fitted.checkpoint).predict(path)
    assert [each.name for each in found.predictions] == [each.name for each in expected]
    assert [each.probability for each in found.predictions] == pytest.approx([each.probability for each in expected], abs=1e-4)
    assert found.prediction == found.predictions[0]
    other = explain(fitted.checkpoint, Image.open(path), class_name="blue")
    blue = next(each for each in found.predictions if each.name == "blue")
    assert (other.prediction.name, other.prediction.probability) == ("blue", pytest.approx(blue.probability, abs=1e-6))
    assert not np.array_equal(other.heatmap, found.heatmap)


def test_a_photo_on_its_side_is_explained_upright(finder, tmp_path):
    fitted, _ = finder
    on_its_side = Image.Exif()
    on_its_side[274] = 6
    Image.new("RGB", (90, 60), "red").save(tmp_path / "side.jpg", exif=on_its_side)
    found = explain(fitted.checkpoint, tmp_path / "side.jpg")
    assert found.image.size == (60, 90) and found.heatmap.shape == (90, 60)


def test_a_class_is_found_by_its_name_in_either_language():
    garbage = class_labels(class_en)
    assert find_class("Battery", garbage) == find_class("电池", garbage) == class_en.index("Battery")
    for known, typed in itertools.permutations([unicodedata.normalize(form, "Äpfel") for form in ("NFC", "NFD")]):
        assert find_class(typed, class_labels(["cat", known])) == 1  # a folder on macOS, a key on a keyboard
    with pytest.raises(ValueError, match="class 'batery' is not known; did you mean 'Battery'"):
        find_class("batery", garbage)
    for own, typed in ((["cat", "dog"], "zebra"), (["Battery", "Paper"], "电池")):  # classes of one's own have English names only
        with pytest.raises(ValueError, match=f"class '{typed}' is not known; the classes are: {own[0]}, {own[1]}$"):
            find_class(typed, class_labels(own))


def test_an_image_that_cannot_be_read_is_named(finder, tmp_path):
    (tmp_path / "note.jpg").write_text("not an image")
    with pytest.raises(ValueError, match="note.jpg is not an image"):
        explain(finder[0].checkpoint, tmp_path / "note.jpg")
