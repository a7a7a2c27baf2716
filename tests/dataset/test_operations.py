"""Operations of augmentation policies: each as its formula says, in NumPy."""

import numpy as np
import pytest
from PIL import Image

from mindclf.dataset.operations import OPERATIONS

FILL = (10, 20, 30)
LUMA = np.array([0.299, 0.587, 0.114])


@pytest.fixture(scope="module")
def image():
    """A smooth image, 40 x 56, of values from 40 to 219."""
    y, x = np.indices((40, 56))
    return np.stack([130 + 89 * np.sin(x / 9), 130 + 89 * np.cos(y / 7), 130 + 60 * np.sin((x + y) / 11)], -1).astype(np.uint8)


def changed(image, name, magnitude=0):
    return np.asarray(OPERATIONS[name](Image.fromarray(image), magnitude, FILL)).astype(float)


def clipped(values):
    return np.clip(values, 0, 255)


def sampled(image, column, row):
    """`image` between its pixels, bilinear; and where all four neighbours lie inside."""
    left, above = np.floor(column).astype(int), np.floor(row).astype(int)
    inside = (left >= 0) & (above >= 0) & (left < image.shape[1] - 1) & (above < image.shape[0] - 1)
    left, above = np.clip(left, 0, image.shape[1] - 2), np.clip(above, 0, image.shape[0] - 2)
    across, down = (column - left)[..., None], (row - above)[..., None]
    upper = (1 - across) * image[above, left] + across * image[above, left + 1]
    lower = (1 - across) * image[above + 1, left] + across * image[above + 1, left + 1]
    return (1 - down) * upper + down * lower, inside


@pytest.mark.parametrize(("name", "magnitude", "place"), [
    ("ShearX", 0.3, lambda x, y: (x + 0.3 * y, y)), ("ShearX", -0.5, lambda x, y: (x - 0.5 * y, y)),
    ("ShearY", 0.3, lambda x, y: (x, y + 0.3 * x)), ("ShearY", -0.5, lambda x, y: (x, y - 0.5 * x)),
    ("Rotate", 30, lambda x, y: (x * np.cos(np.pi / 6) - y * np.sin(np.pi / 6), x * np.sin(np.pi / 6) + y * np.cos(np.pi / 6))),
    ("Rotate", -135, lambda x, y: (x * -np.sqrt(0.5) + y * np.sqrt(0.5), x * -np.sqrt(0.5) - y * np.sqrt(0.5)))])
def test_pixels_come_from_where_they_should(image, name, magnitude, place):
    """Positions from the middle of a pixel; a shear from the corner, a rotation from the centre of the image."""
    height, width = image.shape[:2]
    y, x = np.indices((height, width)) + 0.5
    origin = (width / 2, height / 2) if name == "Rotate" else (0, 0)
    column, row = place(x - origin[0], y - origin[1])
    column, row = column + origin[0] - 0.5, row + origin[1] - 0.5
    expected, inside = sampled(image.astype(float), column, row)
    found = changed(image, name, magnitude)
    assert inside.mean() > 0.4
    np.testing.assert_allclose(found[inside], expected[inside], rtol=0, atol=1.01)
    outside = (column < -1) | (row < -1) | (column > width) | (row > height)
    assert outside.any() and (found[outside] == FILL).all()


@pytest.mark.parametrize("pixels", [7.6, -7.6, 0.9])
def test_an_image_is_shifted_by_whole_pixels(image, pixels):
    shift = int(pixels)
    for name, axis in (("TranslateX", 1), ("TranslateY", 0)):
        expected = np.roll(image, shift, axis)
        bare = [slice(None), slice(None)]
        bare[axis] = slice(0, shift) if shift >= 0 else slice(shift, None)
        expected[tuple(bare)] = FILL
        np.testing.assert_array_equal(changed(image, name, pixels), expected)


@pytest.mark.parametrize("change", [-0.99, -0.3, 0.5, 0.9])
def test_light_is_multiplied(change):
    image = np.random.default_rng(0).integers(30, 220, (20, 30, 3)).astype(np.uint8)
    values, factor = image.astype(float), 1 + change
    luma = np.rint(values @ LUMA)[..., None]
    kernel = np.array([[1, 1, 1], [1, 5, 1], [1, 1, 1]]) / 13
    smooth = values.copy()  # its edge stays
    windows = np.lib.stride_tricks.sliding_window_view(values, (3, 3), (0, 1))
    smooth[1:-1, 1:-1] = np.rint((windows * kernel).sum((-2, -1)))
    for name, neutral in (("Brightness", 0), ("Contrast", int(luma.mean() + 0.5)), ("Color", luma), ("Sharpness", smooth)):
        expected = clipped(neutral + factor * (values - neutral))
        assert abs(expected - values).max() > 10
        np.testing.assert_allclose(changed(image, name, change), expected, rtol=0, atol=2)  # cut off, and luma is rounded


@pytest.mark.parametrize("bits", [1, 2, 5, 8])
def test_posterize_keeps_the_upper_bits(image, bits):
    step = 2 ** (8 - bits)
    np.testing.assert_array_equal(changed(image, "Posterize", bits), image // step * step)


@pytest.mark.parametrize("threshold", [0, 100.5, 180, 256])
def test_solarize_inverts_from_the_threshold_on(image, threshold):
    np.testing.assert_array_equal(changed(image, "Solarize", threshold), np.where(image >= threshold, 255.0 - image, image))


def test_invert_subtracts_from_white(image):
    np.testing.assert_array_equal(changed(image, "Invert"), 255 - image)


def test_contrast_is_stretched_to_all_values(image):
    low, high = image.min((0, 1)).astype(float), image.max((0, 1)).astype(float)
    np.testing.assert_allclose(changed(image, "AutoContrast"), (image - low) * 255 / (high - low), rtol=0, atol=1)


def test_a_histogram_is_equalised(image):
    """A value becomes the part of the pixels that are less, counted without those of the largest value, times 255."""
    found = changed(image, "Equalize")
    for channel in range(3):
        values = image[..., channel]
        counts = np.bincount(values.ravel(), minlength=256)
        step = (values.size - counts[values.max()]) // 255
        less = np.concatenate([[0], np.cumsum(counts)[:-1]])
        np.testing.assert_array_equal(found[..., channel], np.clip((less + step // 2) // step, 0, 255)[values])
