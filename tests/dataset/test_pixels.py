"""Preprocessing in Pillow and NumPy: bit for bit what MindSpore's pipelines give, of whatever kind and size an image is."""

import io

import numpy as np
import pytest
from mindspore.dataset import vision
from PIL import Image

from mindclf.dataset import ImageSet, encoded_image, eval_pipeline, pixel_pipeline
from mindclf.dataset.pixels import PixelBatches, resize
from mindclf.preprocessing import Preprocessing, Reading

PREPROCESSINGS = [
    Preprocessing((224, 224)),
    Preprocessing((48, 64), 1.0, (1.5, 20, 130.25), (0.5, 70, 63.1)),
    Preprocessing((32, 32), 1.0, raw_size=(32, 32)),  # taken as it is
    Preprocessing((28, 28), 0.875, raw_size=(32, 40)),
]


def noise(height, width, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


def smooth(height, width, seed=0):
    """Pixels as a photo has them, of which a JPEG keeps most."""
    return np.asarray(Image.fromarray(noise(9, 9, seed)).resize((width, height), Image.Resampling.BICUBIC))


def test_half_the_size_is_the_rounded_mean_of_four_pixels():
    pixels = noise(64, 90)
    four = pixels.reshape(32, 2, 45, 2, 3).sum((1, 3), dtype=int)
    np.testing.assert_array_equal(resize(pixels, 32), (four + 2) // 4)


def test_any_size_is_resized_as_by_mindspore():
    rng = np.random.default_rng(0)
    shapes = [(1, 1), (1, 20), (256, 256), (256, 300), (511, 700), (512, 768)]
    shapes += [tuple(rng.integers(1, largest, 2)) for largest in [40] * 150 + [500] * 50]
    for shape in shapes:
        pixels, side = noise(*shape), int(rng.choice([5, 32, 73, 256]))
        if max(shape) * side < 2**12 * min(shape):
            np.testing.assert_array_equal(resize(pixels, side), vision.Resize(side)(pixels), f"{shape} to {side}")


def saved(pixels, file_format, mode="RGB", **options):
    buffer = io.BytesIO()
    Image.fromarray(pixels).convert(mode).save(buffer, file_format, **options)
    return buffer.getvalue()


@pytest.fixture(scope="module")
def files():
    """Encoded images: JPEGs of each subsampling of colours, progressive or not, grey ones, a large BMP, and a PNG."""
    jpegs = [saved(smooth(61 + 37 * index, 250 - 29 * index, index), "JPEG", subsampling=index % 3, progressive=index > 2,
                   quality=60 + 6 * index) for index in range(6)]
    grey = [saved(smooth(90, 71), "JPEG", "L", progressive=progressive) for progressive in (False, True)]
    others = [saved(smooth(900, 1201), "BMP"), saved(noise(50, 80), "PNG"), saved(noise(30, 30), "PNG", "LA")]
    return tuple(encoded_image(file) for file in (*jpegs, *grey, *others))


def batches(dataset):
    return list(dataset.create_tuple_iterator(num_epochs=1, output_numpy=True))


@pytest.mark.parametrize("preprocessing", PREPROCESSINGS, ids=lambda each: f"{each.size} {each.raw_size}")
@pytest.mark.parametrize(("pipeline", "normalised"), [(eval_pipeline, True), (pixel_pipeline, False)],
                         ids=["normalised", "pixels"])
def test_batches_are_those_of_the_pipelines(files, preprocessing, pipeline, normalised):
    images = ImageSet(files, tuple(range(len(files))), ("a",) * len(files))
    found, expected = batches(PixelBatches(images, preprocessing, 4, normalised)), batches(pipeline(images, preprocessing, 4))
    assert len(found) == len(expected) == 3 == PixelBatches(images, preprocessing, 4, normalised).get_dataset_size()
    for arrays, wanted in zip(found, expected):
        for array, same in zip(arrays, wanted):
            assert array.dtype == same.dtype
            np.testing.assert_array_equal(array, same)


def test_files_are_read_as_the_set_says(tmp_path):
    Image.fromarray(np.arange(0, 4096, 4, dtype=np.uint16).reshape(32, 32)).save(tmp_path / "deep.png")
    images = ImageSet((tmp_path / "deep.png",), (0,), ("a",), reading=Reading(white=4095))
    [(found, _)] = batches(PixelBatches(images, Preprocessing((32, 32), 1.0), 1, normalised=False))
    [(expected, _)] = batches(pixel_pipeline(images, Preprocessing((32, 32), 1.0), 1))
    np.testing.assert_array_equal(found, expected)
    assert found.max() == 255
