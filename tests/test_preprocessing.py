"""Preprocessing: one object says what happens to an image, wherever it is read from and whoever carries it out."""

import numpy as np
import pytest
from PIL import Image, ImageOps

from mindclf.config import IMAGENET_MEAN, IMAGENET_STD, merge
from mindclf.dataset import ImageSet, eval_pipeline, pixel_pipeline
from mindclf.preprocessing import Preprocessing, Reading

MEAN = np.array([0.485, 0.456, 0.406]) * 255     # of ImageNet, RGB
STD = np.array([0.229, 0.224, 0.225]) * 255


def only(dataset):
    """The images of the only batch."""
    [(images, _)] = dataset.create_tuple_iterator(num_epochs=1, output_numpy=True)
    return images


def test_config_and_card_say_the_same():
    config = merge({}, dict(image_height=64, image_width=48, crop_pct=0.5, mean=(1, 2, 3), std=(4, 5, 6), white=4095.0))
    preprocessing = Preprocessing.from_config(config, (32, 32))
    assert preprocessing == Preprocessing((64, 48), 0.5, (1, 2, 3), (4, 5, 6), (32, 32), Reading(white=4095.0))
    assert Preprocessing.from_card(preprocessing.card_fields()) == preprocessing


def test_what_is_left_open_is_the_customary_protocol_of_imagenet():
    card = {"image_height": 224, "image_width": 224, "mean": [], "std": []}
    expected = Preprocessing((224, 224), 0.875, IMAGENET_MEAN, IMAGENET_STD, None, Reading())
    assert Preprocessing((224, 224)) == Preprocessing.from_card(card) == Preprocessing.from_config(merge({}, {})) == expected
    assert expected.shorter_side == 256


def test_the_largest_image_and_white_are_the_users_choice_and_nothing_else_changes():
    preprocessing = Preprocessing((64, 48), 0.5, (1, 2, 3), (4, 5, 6), (32, 32), Reading(white=4095))
    larger = preprocessing.read_as(Reading(10**9))
    assert larger.reading == Reading(10**9, 4095) and larger.read_as(Reading()) == preprocessing
    assert preprocessing.read_as(Reading(white=1023)).reading == Reading(white=1023)


def by_hand(image, steps):
    """What another program makes of a PIL image by the steps that `describe` gives: float (height, width, 3)."""
    if steps["raw_size"]:
        image = ImageOps.fit(image, steps["raw_size"][::-1], Image.Resampling.BILINEAR)
    pixels = np.asarray(image)
    if steps["crop"]:
        scale = steps["shorter_side"] / min(image.size)
        assert scale == 1, "resampling differs from one program to the next"
        height, width = steps["crop"]
        top, left = (pixels.shape[0] - height) // 2, (pixels.shape[1] - width) // 2
        pixels = pixels[top:top + height, left:left + width]
    return (pixels - np.array(steps["mean"])) / np.array(steps["std"])


@pytest.mark.parametrize("preprocessing", [
    Preprocessing((224, 224)),                                             # the image has 256 rows: a crop and no resizing
    Preprocessing((224, 160), 0.875, (1, 2, 3), (4, 5, 6)),
    Preprocessing((32, 32), 1.0, (1, 2, 3), (4, 5, 6), (32, 32)),          # taken as it is
    Preprocessing((28, 28), 0.875, raw_size=(32, 32)),
])
def test_the_description_is_what_evaluation_does(preprocessing):
    pixels = np.random.default_rng(0).integers(0, 256, (256, 300, 3)).astype(np.uint8)
    [image] = only(eval_pipeline(ImageSet((pixels,), (0,), ("a",)), preprocessing, 1))
    np.testing.assert_allclose(image.transpose(1, 2, 0), by_hand(Image.fromarray(pixels), preprocessing.describe()), atol=1e-4)


def test_the_description_has_what_json_needs_and_white_only_where_there_is_one():
    assert Preprocessing((32, 32)).describe() == {
        "colours": "RGB", "raw_size": None, "shorter_side": 36, "crop": [32, 32], "mean": list(IMAGENET_MEAN),
        "std": list(IMAGENET_STD)}
    raw = Preprocessing((32, 32), 1.0, (1, 2, 3), (4, 5, 6), (32, 32), Reading(white=1023))
    assert raw.describe() == {"colours": "RGB", "raw_size": [32, 32], "shorter_side": None, "crop": None, "mean": [1, 2, 3],
                              "std": [4, 5, 6], "white": 1023}


def test_pixels_are_what_is_normalised():
    image_set = ImageSet((np.random.default_rng(0).integers(0, 256, (40, 50, 3)).astype(np.uint8),), (0,), ("a",))
    preprocessing = Preprocessing((32, 24), 0.8, (1, 2, 3), (4, 5, 6))
    pixels, images = (only(pipeline(image_set, preprocessing, 1)) for pipeline in (pixel_pipeline, eval_pipeline))
    assert (pixels.dtype, pixels.shape) == (np.uint8, (1, 32, 24, 3))
    np.testing.assert_allclose(images, ((pixels - np.array([1, 2, 3])) / np.array([4, 5, 6])).transpose(0, 3, 1, 2), atol=1e-5)
    assert np.array_equal(preprocessing.unnormalize(images), pixels)


def test_unnormalize_inverts_normalisation():
    pixels = np.random.default_rng(0).integers(0, 256, (2, 5, 7, 3)).astype(np.uint8)
    normalised = ((pixels - MEAN) / STD).transpose(0, 3, 1, 2).astype(np.float32)
    assert np.array_equal(Preprocessing((5, 7), mean=MEAN, std=STD).unnormalize(normalised), pixels)


def test_unnormalize_stays_within_a_byte():
    grey = Preprocessing((1, 1), mean=(100,), std=(100,))
    assert grey.unnormalize(np.array([-9.0, 9.0]).reshape(2, 1, 1, 1)).ravel().tolist() == [0, 255]


@pytest.mark.parametrize("raw_size", [None, (32, 32), (24, 40)])
@pytest.mark.parametrize("crop_pct", [1.0, 0.875, 0.4])
@pytest.mark.parametrize("net_size", [(32, 32), (48, 32), (24, 40)])
@pytest.mark.parametrize("size", [(90, 200), (200, 90), (150, 150)])
def test_the_box_is_the_part_of_an_image_that_evaluation_shows(size, net_size, crop_pct, raw_size):
    """Of an image whose red is the column and whose green is the row, the net sees where each of its pixels comes from."""
    pixels = np.zeros((*size, 3), np.uint8)
    pixels[..., 0], pixels[..., 1] = np.arange(size[1]), np.arange(size[0])[:, None]
    preprocessing = Preprocessing(net_size, crop_pct, (0, 0, 0), (1, 1, 1), raw_size)
    [image] = only(eval_pipeline(ImageSet((pixels,), (0,), ("a",)), preprocessing, 1))
    top, left, bottom, right = preprocessing.box(size)
    assert 0 <= top < bottom <= 1 and 0 <= left < right <= 1
    pixel = max(200 / min(raw_size), 1) if raw_size else 1  # at the edges pixels of raw_size know of no neighbours
    for channel, first, last, side in ((0, left, right, 1), (1, top, bottom, 0)):
        count, length = net_size[side], size[side]
        expected = (first + (np.arange(count) + 0.5) / count * (last - first)) * length - 0.5
        seen = image[channel].mean(axis=1 - side)
        np.testing.assert_allclose(seen, expected, atol=0.75 + pixel / 2)
        middle = slice(count // 4, -(count // 4))
        np.testing.assert_allclose(seen[middle], expected[middle], atol=1.25)
