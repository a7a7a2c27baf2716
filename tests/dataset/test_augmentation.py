"""What training images look like, read off their pixels: every random choice has the distribution that is documented, none tells
anything about another one, and all of them depend on seed, phase, epoch and the image's index alone.

These tests look at what the pipelines give, and at nothing inside.
"""

import itertools

import numpy as np
import pytest
from PIL import Image
from scipy import stats

from mindclf.config import DEFAULTS
from mindclf.dataset import ImageSet, train_pipeline
from mindclf.dataset.cifar10 import read_cifar10

VIEWS = 4000
UNLIKELY = 1e-4  # p-values below this fail; the seeds are fixed, so a test that passes passes always
SHIFT = 4


def columns_of(dataset):
    """All images of one epoch, as pixels (N, H, W, 3) float32."""
    batches = dataset.create_tuple_iterator(num_epochs=1, output_numpy=True)
    return np.concatenate([images for images, _ in batches]).transpose(0, 2, 3, 1)


def raw_folder(folder, image):
    """A folder of CIFAR-10 in which every image is `image`, uint8 (32, 32, 3)."""
    record = np.concatenate([[0], image.transpose(2, 0, 1).ravel()]).astype(np.uint8)
    for name in [*(f"data_batch_{number}.bin" for number in range(1, 6)), "test_batch.bin"]:
        np.tile(record, (10_000, 1)).tofile(folder / name)
    return str(folder)


def raw_views(folder, image, **fields):
    """VIEWS training views of a raw image, as pixels from which `mean`, if set, is subtracted."""
    config = {**DEFAULTS, "image_height": 32, "image_width": 32, "augment": "padded_crop", "crop_padding": SHIFT,
              "batch_size": 500, "std": (1, 1, 1), "mean": (0, 0, 0), "color_adjust": 0.0, **fields}
    return columns_of(train_pipeline(read_cifar10(raw_folder(folder, image), "train").take(range(VIEWS)), config))


def assert_independent(choices):
    """Chi-squared tests of all pairs of `choices`, arrays by name; one with many values is cut into five parts as frequent."""
    def classes(values):
        if len(np.unique(values)) <= 9:
            return np.unique(values, return_inverse=True)[1]
        return np.searchsorted(np.quantile(values, [0.2, 0.4, 0.6, 0.8]), values)

    dependent = {}
    for (one, first), (other, second) in itertools.combinations(choices.items(), 2):
        known = ~(np.isnan(first) | np.isnan(second))
        table = np.zeros((9, 9))
        np.add.at(table, (classes(first[known]), classes(second[known])), 1)
        table = table[table.any(1)][:, table.any(0)]
        p = stats.chi2_contingency(table).pvalue
        if p < UNLIKELY:
            dependent[one, other] = p
    assert not dependent


def assert_uniform(values, low, high):
    assert low - 0.04 * (high - low) <= values.min() and values.max() <= high + 0.04 * (high - low)
    assert stats.kstest(values, "uniform", (low, high - low)).pvalue > UNLIKELY


def assert_equally_likely(values, expected):
    found, counts = np.unique(values, return_counts=True)
    assert found.tolist() == list(expected)
    assert stats.chisquare(counts).pvalue > UNLIKELY


def assert_half(values):
    assert stats.binomtest(int(values.sum()), len(values)).pvalue > UNLIKELY


@pytest.fixture(scope="module")
def shifted(tmp_path_factory):
    """Choices of shift, flips and square. Red tells the column of a pixel, green its row; black is -1, the square 0."""
    pixels = np.full((32, 32, 3), 200, np.uint8)
    pixels[..., 0], pixels[..., 1] = 7 * np.arange(32) + 16, 7 * np.arange(32)[:, None] + 16
    views = raw_views(tmp_path_factory.mktemp("raw"), pixels, mean=(1, 1, 1), cutout=8, vertical_flip_prob=0.5)
    choices = {name: np.full(VIEWS, np.nan) for name in ("down", "right", "mirrored", "upside down", "square's row",
                                                          "square's column")}
    for number, view in enumerate(views):
        is_square = (view == 0).all(-1)
        y, x = np.nonzero((view[..., 2] == 199) & ~is_square)
        column, row = (view[y, x, 0] + 1 - 16) / 7, (view[y, x, 1] + 1 - 16) / 7
        for name, flip, where, place in (("right", "mirrored", column, x), ("down", "upside down", row, y)):
            flipped = np.ptp(where - place) > 0
            choices[flip][number] = flipped
            shift = np.unique(where + place - 31 if flipped else where - place)
            assert len(shift) == 1
            choices[name][number] = shift[0]
        if is_square.any():
            for name, places in zip(("square's row", "square's column"), np.nonzero(is_square)):
                first, last = places.min(), places.max()  # of what is to be seen of eight pixels
                choices[name][number] = last - 3 if first == 0 else first + 4
    return choices


def test_choices_of_a_padded_crop_are_independent(shifted):
    assert_independent(shifted)


def test_choices_of_a_padded_crop_have_their_distributions(shifted):
    for name in ("right", "down"):
        assert_equally_likely(shifted[name], range(-SHIFT, SHIFT + 1))
    for name in ("mirrored", "upside down"):
        assert_half(shifted[name])
    for name in ("square's row", "square's column"):
        assert_equally_likely(shifted[name], range(32))


QUADRANTS = np.array([[[60, 70, 90], [150, 120, 130]], [[120, 100, 80], [170, 160, 190]]])  # luma 69, 130; 104, 166
LUMA = np.array([0.299, 0.587, 0.114])


@pytest.fixture(scope="module")
def lit(tmp_path_factory):
    """Choices of flips, brightness, contrast, saturation and grey, from the colours of four quadrants."""
    pixels = QUADRANTS.repeat(16, 0).repeat(16, 1).astype(np.uint8)
    views = raw_views(tmp_path_factory.mktemp("raw"), pixels, crop_padding=0, color_adjust=0.2, grey_prob=0.25,
                      vertical_flip_prob=0.5)
    colours = views[:, 8::16, 8::16].astype(float)                   # (N, 2, 2, 3)
    luma = colours @ LUMA
    upside_down, mirrored = (luma[:, 0].sum(1) > luma[:, 1].sum(1)), (luma[:, :, 0].sum(1) > luma[:, :, 1].sum(1))
    colours[upside_down] = colours[upside_down][:, ::-1]
    colours[mirrored] = colours[mirrored][:, :, ::-1]
    known, seen = QUADRANTS @ LUMA, colours @ LUMA
    slope = ((seen - seen.mean((1, 2), keepdims=True)) * (known - known.mean())).sum((1, 2)) / ((known - known.mean())**2).sum()
    brightness = seen.mean((1, 2)) / known.mean()                     # contrast leaves the mean
    chroma = QUADRANTS - known[..., None]
    saturation = ((colours - seen[..., None]) * chroma).sum((1, 2, 3)) / (chroma**2).sum() / slope
    is_grey = abs(saturation) < 0.05
    return {"mirrored": mirrored.astype(float), "upside down": upside_down.astype(float), "brightness": brightness,
            "contrast": slope / brightness, "saturation": np.where(is_grey, np.nan, saturation), "grey": is_grey.astype(float)}


def test_choices_of_light_and_flips_are_independent(lit):
    assert_independent(lit)


def test_light_has_its_distribution(lit):
    for name in ("brightness", "contrast", "saturation"):
        assert_uniform(lit[name][~np.isnan(lit[name])], 0.8, 1.2)
    for name in ("mirrored", "upside down"):
        assert_half(lit[name])
    assert stats.binomtest(int(lit["grey"].sum()), VIEWS, 0.25).pvalue > UNLIKELY


@pytest.fixture(scope="module")
def cropped(tmp_path_factory):
    """Choices of a resized crop of a file of 160 x 200 pixels, from red that tells the column and green that tells the row."""
    height, width = 160, 200
    pixels = np.full((height, width, 3), 128, np.uint8)
    pixels[..., 0], pixels[..., 1] = np.arange(width) + 20, np.arange(height)[:, None] + 20
    path = tmp_path_factory.mktemp("crops") / "0.png"
    Image.fromarray(pixels).save(path)
    config = {**DEFAULTS, "image_height": 32, "image_width": 32, "scale": (0.15, 0.5), "ratio": (0.75, 1.333), "batch_size": 500,
              "std": (1, 1, 1), "mean": (0, 0, 0), "color_adjust": 0.0, "vertical_flip_prob": 0.5}
    views = columns_of(train_pipeline(ImageSet((str(path),) * VIEWS, (0,) * VIEWS, ("a",)), config))
    choices = {}
    for name, flip, values, length in (("x", "mirrored", views[:, 16, :, 0], width),
                                       ("y", "upside down", views[:, :, 16, 1], height)):
        places = values.astype(float) - 20
        step = (places[:, 24] - places[:, 8]) / 16  # pixels of the file in one of the view, less than 0 where flipped
        side = np.rint(32 * abs(step))
        start = np.rint((places[:, 8] + places[:, 24] - step) / 2 - side / 2 + 0.5)  # from the centre, between 15 and 16
        choices[flip] = (step < 0).astype(float)
        choices[name] = (start + 0.5) / (length - side + 1)
        choices[f"side {name}"] = side
    across, down = choices.pop("side x"), choices.pop("side y")
    return {**choices, "area": across * down / (height * width), "ratio": np.log(across / down)}


def test_choices_of_a_resized_crop_are_independent(cropped):
    assert_independent(cropped)


def test_a_resized_crop_has_its_distribution(cropped):
    assert_uniform(cropped["area"], 0.15, 0.5)
    assert_uniform(cropped["ratio"], np.log(0.75), np.log(1.333))
    assert_uniform(cropped["x"], 0, 1)
    assert_uniform(cropped["y"], 0, 1)
    for name in ("mirrored", "upside down"):
        assert_half(cropped[name])


@pytest.mark.parametrize("augment", ["resized_crop", "padded_crop"])
def test_two_flips_give_four_orientations(tmp_path, augment):
    """What ../shared/cases/augmentation_streams shows in plain MindSpore, through mindclf: there two of them never come."""
    pixels = np.arange(4, dtype=np.uint8).reshape(2, 2, 1).repeat(3, 2).repeat(16, 0).repeat(16, 1)
    path = tmp_path / "0.png"
    Image.fromarray(pixels).save(path)
    config = {**DEFAULTS, "image_height": 32, "image_width": 32, "scale": (1, 1), "ratio": (1, 1), "crop_padding": 0,
              "batch_size": 256, "std": (1, 1, 1), "mean": (0, 0, 0), "color_adjust": 0.0, "vertical_flip_prob": 0.5,
              "augment": augment}
    views = columns_of(train_pipeline(ImageSet((str(path),) * 1024, (0,) * 1024, ("a",)), config))
    assert_equally_likely(views[:, 0, 0, 0], range(4))
